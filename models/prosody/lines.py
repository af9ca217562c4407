"""A text, as people type or paste it, to the lines of a poem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from models.prosody.characters import is_han
from models.prosody.forms import FORMS, Form

MISSING = "□"
"""Stands in editions for a character that is lost; it counts as one."""

# What editors add in brackets is no verse: （一作看月光）.
_NOTE = re.compile(r"[（(\[［【〔][^）)\]］】〕]*[）)\]］】〕]")
_ROW = re.compile(r"[\r\n]+")
_MARK = re.compile(r"[，。！？；：、．,.!?;:…—～~/|]+")
_TITLE_ROWS = 3
_LONGEST = 7


def verse_lines(text: str, form: Form | None = None) -> list[str]:
    """The lines of a poem, without punctuation.

    Where punctuation, spaces and line breaks do not stand at the ends of lines, the lines of a form are cut
    out of the text as long as the breaks allow it. Rows that stand above a whole poem and have no punctuation
    where it has some, or another length, are its title and author. Otherwise the pieces between the breaks
    are returned as they are.

    Args:
        form: the form to try before the others.
    """
    text = _NOTE.sub("", text)
    forms = [*([form] if form else []), *FORMS.values()]
    for pieces in _divisions(text):
        for each in forms:
            lines = _cut(pieces, each)
            if lines:
                return lines
    return _pieces(text)


def _divisions(text: str) -> Iterator[list[str]]:
    pieces = _pieces(text)
    yield pieces
    if all(len(piece) == 1 for piece in pieces):
        yield ["".join(pieces)]
    # Spaces inside a line: 床前 明月光，
    yield _bare(re.split(f"{_MARK.pattern}|{_ROW.pattern}", text))
    rows = [row for row in _ROW.split(text) if _bare([row])]
    lengths = [len("".join(_bare([row]))) for row in rows]
    if len(set(lengths)) == 1 and lengths[0] <= _LONGEST:
        # A mark inside a line: 问君，能有几多愁
        yield _bare(rows)
    for title in range(1, min(_TITLE_ROWS, len(rows) - 1) + 1):
        body = "\n".join(rows[title:])
        marked = _MARK.search(body) is not None
        if not any(_MARK.search(row) for row in rows[:title]) and (
            marked or lengths[title] not in lengths[:title]
        ):
            yield _pieces(body)


def _pieces(text: str) -> list[str]:
    return _bare(re.split(rf"{_MARK.pattern}|\s+", text))


def _bare(pieces: Sequence[str]) -> list[str]:
    """Without quotation marks and whatever else is no character; none of them empty."""
    bare = ("".join(mark for mark in piece if is_han(mark) or mark == MISSING) for piece in pieces)
    return [piece for piece in bare if piece]


def _cut(pieces: Sequence[str], form: Form) -> list[str]:
    """The lines of `form`, where no piece ends inside one; else none."""
    if any(len(piece) % form.characters for piece in pieces):
        return []
    whole = "".join(pieces)
    if len(whole) != form.lines * form.characters:
        return []
    return [whole[start : start + form.characters] for start in range(0, len(whole), form.characters)]
