"""Where words lie in a line: 2-2-1 or 2-1-2 for five characters, 2-2-2-1 or 2-2-1-2 for seven."""

from __future__ import annotations


def word_places(line: str) -> list[tuple[int, int]]:
    """(start, end) of every two-character word that the rhythm of `line` (5 or 7 characters) allows."""
    pairs = [(start, start + 2) for start in range(0, len(line) - 1, 2)]
    return [*pairs, (len(line) - 2, len(line))]


def words(line: str) -> list[str]:
    """The two-character words at the rhythm's places, in reading order, e.g. 床前 明月 月光 of 床前明月光."""
    return [line[start:end] for start, end in word_places(line)]
