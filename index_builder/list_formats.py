"""The formats of a keyword list: text with a word a line, tables with a header, JSON Lines.

Of a table or an object these fields matter: `word`, and where they are there `visual` (1: can be seen in a
picture, 0: cannot), `subject` (names, several with `|` between), `weight` (what scores are multiplied by).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

HEAVIEST = 10.0

_DELIMITERS = {".tsv": "\t", ".csv": ","}
_VISUAL = {"0": False, "1": True, "true": True, "false": False}


class InvalidKeywordList(ValueError):
    """A keyword list that cannot be read, or of which nothing is left."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a list, as it stands there.

    Attributes:
        number: of the line, from 1.
        text: the word.
        visual: whether a picture can show it.
        subjects: what it is about.
        weight: what its score is multiplied by.
    """

    number: int
    text: str
    visual: bool = True
    subjects: tuple[str, ...] = ()
    weight: float = 1.0


def read_entries(source: str, text: str) -> Iterator[Entry]:
    """The entries of a list; the suffix of `source` decides the format. Raises InvalidKeywordList."""
    suffix = source[source.rfind(".") :].lower() if "." in source else ""
    if suffix in (".jsonl", ".ndjson"):
        return _json_entries(source, text)
    if suffix in _DELIMITERS:
        return _table_entries(source, text, _DELIMITERS[suffix])
    return (Entry(number=number, text=line) for number, line in enumerate(text.splitlines(), 1))


def _table_entries(source: str, text: str, delimiter: str) -> Iterator[Entry]:
    # A tab-separated list knows no quotation marks.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    try:
        header = [name.strip().lower() for name in next(table, [])]
        if "word" not in header:
            raise InvalidKeywordList(f"{source}: the first line must be a header with a column `word`")
        for row in table:
            # An empty line has no fields; any other has them all.
            empty = dict.fromkeys(header if row else [], "")
            yield _entry(source, table.line_num, empty | dict(zip(header, row, strict=False)))
    except csv.Error as error:
        raise InvalidKeywordList(f"{source}: line {table.line_num}: {error}") from error


def _json_entries(source: str, text: str) -> Iterator[Entry]:
    """Each line is a JSON object, or a string: a word alone."""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        try:
            value = json.loads(line) if line.strip() else ""
        except (ValueError, RecursionError) as error:
            raise InvalidKeywordList(f"{source}: line {number}: not JSON: {error}") from error
        fields = {"word": value} if isinstance(value, str) else value
        if not isinstance(fields, dict) or not isinstance(fields.get("word"), str):
            raise InvalidKeywordList(f"{source}: line {number}: must be a string or an object with a `word`")
        yield _entry(source, number, fields)


def _entry(source: str, number: int, fields: Mapping[str, Any]) -> Entry:
    try:
        return Entry(
            number=number,
            text=str(fields.get("word", "")),
            visual=_visual(fields["visual"]) if "visual" in fields else True,
            subjects=_subjects(fields.get("subject", "")),
            weight=_weight(fields.get("weight", "")),
        )
    except ValueError as error:
        raise InvalidKeywordList(f"{source}: line {number}: {error}") from error


def _visual(mark: object) -> bool:
    try:
        return _VISUAL[str(mark).strip().lower()]
    except KeyError:
        raise ValueError(f"`visual` must be 0 or 1, not {mark!r}") from None


def _subjects(names: object) -> tuple[str, ...]:
    if not isinstance(names, (str, list)):
        raise ValueError(f"`subject` must be names, not {names!r}")
    parts = names.split("|") if isinstance(names, str) else [str(name) for name in names]
    return tuple(part.strip() for part in parts if part.strip())


def _weight(text: object) -> float:
    if isinstance(text, str) and not text.strip():
        return 1.0
    try:
        weight = float(str(text))
    except ValueError:
        weight = 0.0
    if not 0 < weight <= HEAVIEST:
        raise ValueError(f"`weight` must be above 0 and at most {HEAVIEST:g}, not {text!r}")
    return weight
