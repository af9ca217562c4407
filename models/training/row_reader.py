"""Rows of people's own files turned into poems."""

from __future__ import annotations

import re
from collections.abc import Mapping

from models.prosody import is_han
from models.prosody.shape import form_of
from models.training.corpus import Poem, fault_of
from models.training.poem_files import Row
from models.training.spelling import simplifier

FIELDS = ("content", "keywords", "title", "author", "dynasty")
_LINE_BREAKS = re.compile(r"[|｜/\s，。？！；、：,.?!;:]+")
_KEYWORD_BREAKS = re.compile(r"[|｜/\s，、；,;]+")


class BadRow(ValueError):
    """A row that gives no poem. `reason` is one of a few stable words; the message is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class RowReader:
    """Turns rows into poems in simplified characters; `names` says what each of `FIELDS` is called there."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._simplify = simplifier()

    def poem(self, row: Row) -> Poem:
        """Raises BadRow."""
        if row.fault:
            raise BadRow("unreadable", row.fault)
        lines = self._lines(row)
        fault, form = fault_of(lines), form_of(lines)
        if fault or form is None:
            raise BadRow(fault or "no_form", _shape(lines))
        return Poem(
            form=form.name,
            dynasty=self._value(row, "dynasty").lower() or "unknown",
            author=self._value(row, "author"),
            title=self._value(row, "title"),
            lines=lines,
            keywords=self._keywords(row),
        )

    def _lines(self, row: Row) -> tuple[str, ...]:
        lines = tuple(part for part in _LINE_BREAKS.split(self._value(row, "content")) if part)
        if not lines:
            there = " ".join(map(repr, row.values))
            raise BadRow("no_content", f"nothing in {self._names['content']!r}; fields are {there}")
        return lines

    def _keywords(self, row: Row) -> tuple[str, ...]:
        given = [word for word in _KEYWORD_BREAKS.split(self._value(row, "keywords")) if word]
        if not all(is_han(word) for word in given):
            raise BadRow("bad_keywords", " ".join(given))
        return tuple(dict.fromkeys(given))

    def _value(self, row: Row, name: str) -> str:
        value = row.values.get(self._names[name])
        parts = value if isinstance(value, list) else [value]
        if not all(part is None or isinstance(part, str | int | float) for part in parts):
            raise BadRow("bad_field", f"{self._names[name]!r} is neither text nor a list of texts")
        return self._simplify("|".join(str(part) for part in parts if part is not None).strip())


def _shape(lines: tuple[str, ...]) -> str:
    """The lengths of the lines, and what in them is not Chinese."""
    lengths = " ".join(str(len(line)) for line in lines)
    odd = "".join(dict.fromkeys(character for character in "".join(lines) if not is_han(character)))
    return f"characters a line: {lengths}" + (f"; not Chinese: {odd!r}" if odd else "")
