"""Text → token ids as BERT reads Chinese: a character is a word, other words are cut into pieces.

The steps and their order are those of the tokenizer of transformers' `ChineseCLIPProcessor`, `BertTokenizer`.
They are plain Python here, as what serves loads neither transformers nor its Rust library. WordPiece is
greedy longest match first (Wu et al., arXiv 1609.08144).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.bundle import Bundle, CorruptArtifact

_UNKNOWN, _BEGIN, _END = "[UNK]", "[CLS]", "[SEP]"
_CONTINUED = "##"
_REPLACEMENT = "\ufffd"
# What BERT takes for Chinese characters. The block of extension E begins at 0x2B820; tokenizers, and with it
# every processor of transformers, begins at 0x2B920.
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_CHINESE_CHARACTER = re.compile("([" + "".join(f"{chr(low)}-{chr(high)}" for low, high in _CHINESE) + "])")
_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class WordPiece:
    """BERT's tokenizer with `[CLS]` in front and `[SEP]` behind.

    Args:
        vocabulary: `vocabulary[id]` is the piece with that id; pieces inside a word begin with `##`.
        limit: most token ids of a text, both special ones counted; the rest is cut off.
        longest_word: a word of more characters is unknown.
        lower_case: whether case and accents are given up.
        added: tokens that are recognised in a text as they stand, `[MASK]` for one.

    Raises ValueError for a vocabulary without the special tokens.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        limit: int = 52,
        longest_word: int = 100,
        lower_case: bool = True,
        added: Sequence[str] = (),
    ) -> None:
        self._ids = {token: place for place, token in enumerate(vocabulary)}
        if missing := [token for token in (_UNKNOWN, _BEGIN, _END, *added) if token not in self._ids]:
            raise ValueError(f"the vocabulary lacks {', '.join(missing)}")
        self._unknown, self._begin, self._end = (self._ids[token] for token in (_UNKNOWN, _BEGIN, _END))
        self._longest_piece = max(map(len, vocabulary))
        self._limit = limit
        self._longest_word = longest_word
        self._lower_case = lower_case
        self._added = re.compile("(" + "|".join(map(re.escape, added)) + ")") if added else None

    @classmethod
    def from_bundle(cls, bundle: Bundle, facts: Mapping[str, Any]) -> WordPiece:
        """The tokenizer that a manifest describes. Raises CorruptArtifact where its file is no vocabulary,
        LookupError, TypeError or ValueError where a field is missing or odd."""
        return cls(
            read_vocabulary(bundle.file(facts["vocabulary"])),
            limit=int(facts["limit"]),
            longest_word=int(facts["longest_word"]),
            lower_case=bool(facts["lower_case"]),
            added=tuple(facts["added"]),
        )

    def __call__(self, text: str) -> list[int]:
        """Between 2 and `limit` token ids."""
        ids = [self._begin]
        for part in self._parts(text):
            if len(ids) >= self._limit - 1:
                break
            ids += part
        return [*ids[: self._limit - 1], self._end]

    def _parts(self, text: str) -> Iterator[list[int]]:
        """The ids, word by word."""
        stretches = self._added.split(text) if self._added else [text]
        for place, stretch in enumerate(stretches):
            if place % 2:
                yield [self._ids[stretch]]
                continue
            for word in self._words(stretch):
                yield self._pieces(word)

    def _words(self, text: str) -> Iterator[str]:
        text = _CHINESE_CHARACTER.sub(r" \1 ", "".join(map(_cleaned, text)))
        if self._lower_case:
            text = _plain(text)
        for word in text.split():
            yield from _split_punctuation(word)

    def _pieces(self, word: str) -> list[int]:
        if len(word) > self._longest_word:
            return [self._unknown]
        ids: list[int] = []
        start = 0
        while start < len(word):
            end = self._end_of_piece(word, start)
            if end == start:
                return [self._unknown]
            ids.append(self._ids[(_CONTINUED if start else "") + word[start:end]])
            start = end
        return ids

    def _end_of_piece(self, word: str, start: int) -> int:
        """Where the longest piece ends that begins at `start`; `start` where there is none."""
        prefix = _CONTINUED if start else ""
        for end in range(min(len(word), start + self._longest_piece), start, -1):
            if prefix + word[start:end] in self._ids:
                return end
        return start


def read_vocabulary(path: Path) -> list[str]:
    """Read a `vocab.txt`, one token a line. Raises CorruptArtifact where it is none."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{path}: not a vocabulary: {error}") from error


def _cleaned(character: str) -> str:
    """A blank for what is blank, nothing for what cannot be seen."""
    if character in "\t\n\r":
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Co") or character == _REPLACEMENT:
        return ""
    return " " if category in ("Zs", "Zl", "Zp") else character


def _plain(text: str) -> str:
    """Without accents and in lower case, character by character: no sigma knows that it is the last."""
    letters = unicodedata.normalize("NFD", text)
    return "".join(letter.lower() for letter in letters if unicodedata.category(letter) != "Mn")


def _split_punctuation(word: str) -> Iterator[str]:
    start = 0
    for place, character in enumerate(word):
        if character in _ASCII_PUNCTUATION or unicodedata.category(character)[0] == "P":
            if start < place:
                yield word[start:place]
            yield character
            start = place + 1
    if start < len(word):
        yield word[start:]
