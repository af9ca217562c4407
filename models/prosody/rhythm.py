"""Where words lie in a line: 2-2-1 or 2-1-2 for five characters, 2-2-2-1 or 2-2-1-2 for seven."""

from __future__ import annotations


def word_starts(characters: int) -> list[int]:
    """Where two-character words may start in a line of 5 or 7 characters, from 0."""
    return [*range(0, characters - 1, 2), characters - 2]


def word_places(line: str) -> list[tuple[int, int]]:
    """(start, end) of every two-character word that the rhythm of `line` (5 or 7 characters) allows."""
    return [(start, start + 2) for start in word_starts(len(line))]


def words(line: str) -> list[str]:
    """The two-character words at the rhythm's places, in reading order, e.g. 床前 明月 月光 of 床前明月光."""
    return [line[start:end] for start, end in word_places(line)]
