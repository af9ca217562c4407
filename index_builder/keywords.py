"""An operator's keyword list: read, clean, and say what was dropped and why. Formats: `list_formats`."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from index_builder.list_formats import Entry, InvalidKeywordList, read_entries
from models.prosody import is_han

__all__ = [
    "MAX_CHARACTERS",
    "SCRIPTS",
    "DroppedLine",
    "InvalidKeywordList",
    "KeywordList",
    "normalize",
    "parse_keywords",
    "read_keywords",
    "simplified",
]

MAX_CHARACTERS = 32
SCRIPTS = ("as_is", "simplified")

_TABLE = Path(__file__).parent / "data" / "simplified.txt"


@dataclass(frozen=True, kw_only=True)
class DroppedLine:
    """A line that was left out.

    Attributes:
        number: of the line, from 1.
        text: the word as it stands there.
        reason: as in `KeywordList.dropped`.
    """

    number: int
    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class KeywordList:
    """A clean list: NFKC, without duplicates, in the order of the source.

    Attributes:
        words: the keywords; each holds Chinese characters and no line break.
        dropped: lines left out, counted by reason: `empty`, `not_chinese`, `control_character`,
            `too_long`, `not_visual`, `other_subject`, `stopped`, `duplicate`, `other_script`.
        source: the file's name, without its folder.
        sha256: of the file's bytes, hexadecimal.
        weights: what each word's score is multiplied by; empty where all are 1.
        dropped_lines: each of the dropped lines.
    """

    words: tuple[str, ...]
    dropped: Mapping[str, int]
    source: str
    sha256: str
    weights: tuple[float, ...] = ()
    dropped_lines: tuple[DroppedLine, ...] = ()


def read_keywords(
    path: Path,
    *,
    all_words: bool = False,
    stop_lists: Sequence[Path] = (),
    script: str = "as_is",
    subjects: Collection[str] = (),
) -> KeywordList:
    """Read and clean the list at `path`, UTF-8 with or without a byte order mark.

    Args:
        path: the list; the suffix decides the format.
        stop_lists: lists of words to leave out, in any format.
        all_words, script, subjects: as of `parse_keywords`.

    Raises InvalidKeywordList for a file that cannot be read, a malformed list, or an empty result.
    """
    stop_words = [
        entry.text for stop in stop_lists for entry in read_entries(stop.name, _decode(_bytes_of(stop), stop))
    ]
    return parse_keywords(
        _bytes_of(path),
        source=str(path),
        all_words=all_words,
        stop_words=stop_words,
        script=script,
        subjects=subjects,
    )


def parse_keywords(
    data: bytes,
    *,
    source: str = "list.txt",
    all_words: bool = False,
    stop_words: Collection[str] = (),
    script: str = "as_is",
    subjects: Collection[str] = (),
) -> KeywordList:
    """Clean a list that is in memory.

    Args:
        data: the list, UTF-8 with or without a byte order mark.
        source: the list's name; its suffix decides the format.
        all_words: keep the words that are marked as not visual.
        stop_words: words to leave out.
        script: `simplified` turns traditional characters into simplified ones; `as_is` leaves them. Of two
            words that differ in script alone only the first stays, either way.
        subjects: keep only words about one of these; all, where there is none.

    Raises InvalidKeywordList for a malformed list or an empty result, ValueError for an unknown script.
    """
    if script not in SCRIPTS:
        raise ValueError(f"unknown script {script!r}; choose one of {', '.join(SCRIPTS)}")
    sieve = _Sieve(all_words=all_words, stop_words=stop_words, script=script, subjects=subjects)
    for entry in read_entries(source, _decode(data, source)):
        sieve.take(entry)
    counts = dict(sorted(Counter(line.reason for line in sieve.dropped).items()))
    if not sieve.words:
        raise InvalidKeywordList(f"{source}: no keyword is left; {_describe(counts)}")
    weights = tuple(sieve.words.values())
    return KeywordList(
        words=tuple(sieve.words),
        dropped=counts,
        source=Path(source).name,
        sha256=hashlib.sha256(data).hexdigest(),
        weights=weights if any(weight != 1 for weight in weights) else (),
        dropped_lines=tuple(sieve.dropped),
    )


def normalize(word: str) -> str:
    """NFKC, without surrounding space and without invisible format characters (zero-width space, …)."""
    if word.isascii():
        return word.strip()
    visible = "".join(character for character in word if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", visible).strip()


def simplified(word: str) -> str:
    """The word with every traditional character that has one simplified form in that form."""
    return word.translate(_to_simplified())


class _Sieve:
    """Takes entries; keeps words and the lines that fell through."""

    def __init__(
        self, *, all_words: bool, stop_words: Collection[str], script: str, subjects: Collection[str]
    ) -> None:
        self.words: dict[str, float] = {}
        self.dropped: list[DroppedLine] = []
        self._all_words = all_words
        self._stopped = {simplified(normalize(word)) for word in stop_words}
        self._subjects = frozenset(subjects)
        self._convert = script == "simplified"
        self._seen: set[str] = set()

    def take(self, entry: Entry) -> None:
        word = normalize(entry.text)
        plain = simplified(word)
        word = plain if self._convert else word
        reason = _fault(word) or self._unwanted(entry, plain) or self._repeated(word, plain)
        if reason:
            self.dropped.append(DroppedLine(number=entry.number, text=entry.text, reason=reason))
            return
        self.words[word] = entry.weight
        self._seen.add(plain)

    def _unwanted(self, entry: Entry, plain: str) -> str | None:
        if not (entry.visual or self._all_words):
            return "not_visual"
        if self._subjects and self._subjects.isdisjoint(entry.subjects):
            return "other_subject"
        return "stopped" if plain in self._stopped else None

    def _repeated(self, word: str, plain: str) -> str | None:
        if word in self.words:
            return "duplicate"
        return "other_script" if plain in self._seen else None


def _fault(word: str) -> str | None:
    """Why a normalized word cannot be a keyword, or None."""
    if not word:
        return "empty"
    if not any(map(is_han, word)):
        return "not_chinese"
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in word):
        return "control_character"
    return "too_long" if len(word) > MAX_CHARACTERS else None


@cache
def _to_simplified() -> dict[int, str]:
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    return {ord(line[0]): line[1] for line in lines}


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidKeywordList(f"{path}: cannot read the list: {error.strerror}") from error


def _decode(data: bytes, source: object) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidKeywordList(f"{source}: not UTF-8 (byte {error.start}); convert it first") from error


def _describe(dropped: Mapping[str, int]) -> str:
    if not dropped:
        return "the file has no lines"
    return "dropped: " + ", ".join(f"{reason} {count}" for reason, count in dropped.items())
