"""An operator's keyword list: read, clean, and say what was dropped and why.

A list is plain text with a word a line, or, by its suffix `.tsv` or `.csv`, a table with a header. Of
a table two columns matter: `word`, and where it is there `visual` (1: can be seen in a picture, 0: cannot).
"""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.prosody import is_han

MAX_CHARACTERS = 32

_DELIMITERS = {".tsv": "\t", ".csv": ","}


class InvalidKeywordList(ValueError):
    """A keyword list that cannot be read, or of which nothing is left."""


@dataclass(frozen=True, kw_only=True)
class KeywordList:
    """A clean list: NFKC, without duplicates, in the order of the source.

    Attributes:
        words: the keywords; each holds Chinese characters and no line break.
        dropped: lines left out, counted by reason: `empty`, `not_chinese`, `control_character`,
            `too_long`, `not_visual`, `duplicate`.
        source: the file's name, without its folder.
        sha256: of the file's bytes, hexadecimal.
    """

    words: tuple[str, ...]
    dropped: Mapping[str, int]
    source: str
    sha256: str


def read_keywords(path: Path, *, all_words: bool = False) -> KeywordList:
    """Read and clean the list at `path`, UTF-8 with or without a byte order mark.

    Args:
        path: the list; the suffix decides the format.
        all_words: keep the words that a table marks as not visual.

    Raises InvalidKeywordList for a file that cannot be read, a malformed table, or an empty result.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidKeywordList(f"{path}: cannot read the list: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidKeywordList(f"{path}: not UTF-8 (byte {error.start}); convert it first") from error
    words: dict[str, None] = {}
    dropped: Counter[str] = Counter()
    for raw, visual in _rows(path, text):
        word = normalize(raw)
        reason = _fault(word, visual=visual or all_words, seen=words)
        if reason:
            dropped[reason] += 1
        else:
            words[word] = None
    if not words:
        raise InvalidKeywordList(f"{path}: no keyword is left; {_describe(dropped)}")
    digest = hashlib.sha256(data).hexdigest()
    return KeywordList(
        words=tuple(words), dropped=dict(sorted(dropped.items())), source=path.name, sha256=digest
    )


def normalize(word: str) -> str:
    """NFKC, without surrounding space and without invisible format characters (zero-width space, …)."""
    visible = "".join(character for character in word if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", visible).strip()


def _fault(word: str, *, visual: bool, seen: Mapping[str, None]) -> str | None:
    """Why a normalized word is left out, or None."""
    if not word:
        return "empty"
    if not any(map(is_han, word)):
        return "not_chinese"
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in word):
        return "control_character"
    if len(word) > MAX_CHARACTERS:
        return "too_long"
    if not visual:
        return "not_visual"
    return "duplicate" if word in seen else None


def _rows(path: Path, text: str) -> Iterator[tuple[str, bool]]:
    """The word and the visual mark of every line."""
    delimiter = _DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        return ((line, True) for line in text.splitlines())
    return _table_rows(path, text, delimiter)


def _table_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, bool]]:
    stream = io.StringIO(text, newline="")
    # A tab-separated list knows no quotation marks.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    table = csv.reader(stream, delimiter=delimiter, quoting=quoting)
    try:
        header = [name.strip().lower() for name in next(table, [])]
        if "word" not in header:
            raise InvalidKeywordList(f"{path}: the first line must be a header with a column `word`")
        marked = "visual" in header
        for row in table:
            cells = dict(zip(header, row, strict=False))
            visual = _is_visual(path, table.line_num, cells.get("visual", "")) if marked and row else True
            yield cells.get("word", ""), visual
    except csv.Error as error:
        raise InvalidKeywordList(f"{path}: line {table.line_num}: {error}") from error


def _is_visual(path: Path, line: int, mark: str) -> bool:
    if mark.strip() not in ("0", "1"):
        raise InvalidKeywordList(f"{path}: line {line}: `visual` must be 0 or 1, not {mark!r}")
    return mark.strip() == "1"


def _describe(dropped: Mapping[str, int]) -> str:
    if not dropped:
        return "the file has no lines"
    return "dropped: " + ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
