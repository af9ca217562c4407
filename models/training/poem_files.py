"""Rows of people's own files of poems: JSON Lines, a JSON array, CSV, or plain text.

What cannot be read becomes a row with a fault: it can be counted and found, and the rows after it are read.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_JSON_GAP = re.compile(r"[\s,]*")
# What bytes that are no UTF-8 are read as, and what JSON's lone \ud800 gives: no text can hold it.
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a file.

    Attributes:
        line: the line it begins on, from 1.
        text: the row as it stands, where that is one piece of text.
        values: its fields; empty where it could not be read.
        fault: why it could not be read; empty where it could.
    """

    line: int
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


def read_rows(path: Path, layout: str) -> Iterator[Row]:
    """The rows of a file in one of the `LAYOUTS`, blank lines left out. Raises OSError."""
    text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    for row in LAYOUTS[layout](text, path):
        if _SURROGATE.search(json.dumps(row.values, ensure_ascii=False)):
            yield Row(line=row.line, text=row.text, fault="not UTF-8")
        else:
            yield row


def layout_of(path: Path) -> str | None:
    """The layout that a file's suffix stands for; of `.json` its first character tells. Raises OSError."""
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return "ccpc"
        case ".json":
            return "json" if path.read_bytes().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") else "ccpc"
        case ".csv" | ".tsv":
            return "csv"
        case ".txt":
            return "text"
    return None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their numbers. A line ends at a line feed and nowhere else."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def _text_rows(text: str, path: Path) -> Iterator[Row]:
    for number, line in _lines(text):
        yield Row(line=number, text=line, values={"content": line})


def _json_lines(text: str, path: Path) -> Iterator[Row]:
    for number, line in _lines(text):
        try:
            yield _object(json.loads(line), number, line)
        except (ValueError, RecursionError) as error:
            yield Row(line=number, text=line, fault=f"not JSON: {error}")


def _json_array(text: str, path: Path) -> Iterator[Row]:
    decoder = json.JSONDecoder()
    place = len(text) - len(text.lstrip())
    number, counted = 1, 0
    if not text.startswith("[", place):
        yield Row(line=1, text=text[:80], fault="not a JSON array")
        return
    place += 1
    while True:
        place = _end_of_gap(text, place)
        number, counted = number + text.count("\n", counted, place), place
        if text.startswith("]", place):
            return
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            rest = text[place : place + 80]
            yield Row(line=number, text=rest, fault=f"not JSON, and nothing after it was read: {error}")
            return
        yield _object(value, number, text[place:end])
        place = end


def _end_of_gap(text: str, place: int) -> int:
    found = _JSON_GAP.match(text, place)
    return found.end() if found else place


def _object(value: object, number: int, text: str) -> Row:
    if isinstance(value, dict):
        return Row(line=number, text=text, values=value)
    return Row(line=number, text=text, fault="not a JSON object")


def _csv_rows(text: str, path: Path) -> Iterator[Row]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line=number, text="", fault=f"not CSV: {error}")
            continue
        if header is None:
            header = [name.strip() for name in cells]
        elif any(cell.strip() for cell in cells):
            yield _table_row(header, cells, number, delimiter)


def _table_row(header: list[str], cells: list[str], number: int, delimiter: str) -> Row:
    text = delimiter.join(cells)
    if len(cells) != len(header):
        return Row(line=number, text=text, fault=f"{len(cells)} columns, the header has {len(header)}")
    return Row(line=number, text=text, values=dict(zip(header, cells, strict=True)))


LAYOUTS: dict[str, Callable[[str, Path], Iterator[Row]]] = {
    "ccpc": _json_lines,
    "json": _json_array,
    "csv": _csv_rows,
    "text": _text_rows,
}
