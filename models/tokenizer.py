"""Text ↔ token ids for the poets: one token a character, special tokens in square brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PAD, UNK, SEP, CLS, MASK, EOS = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]", "[EOS]")


class CharacterTokenizer:
    """A vocabulary of single characters and of special tokens such as `[SEP]`.

    The special tokens are the ones of the original work; control tokens (`[QIJUE]`) are written alike.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary[id]` is the token with that id. Raises ValueError on duplicates or missing specials."""
        self.vocabulary = tuple(vocabulary)
        self._ids = {token: index for index, token in enumerate(self.vocabulary)}
        missing = [token for token in SPECIAL_TOKENS if token not in self._ids]
        if missing or len(self._ids) != len(self.vocabulary):
            raise ValueError(f"not a vocabulary: missing {missing} or repeated tokens")
        specials = sorted((token for token in self.vocabulary if len(token) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, specials), "."]), re.DOTALL)
        self.pad_id, self.unk_id, self.sep_id, self.eos_id = (self._ids[t] for t in (PAD, UNK, SEP, EOS))

    @classmethod
    def read(cls, path: Path) -> CharacterTokenizer:
        """Read a `vocab.txt`, one token a line."""
        return cls(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))

    def write(self, path: Path) -> None:
        path.write_text("\n".join(self.vocabulary) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; a character outside the vocabulary becomes `[UNK]`."""
        return [self._ids.get(token, self.unk_id) for token in self._pattern.findall(text)]

    def id_of(self, token: str) -> int:
        """Id of one token. Raises KeyError when the vocabulary lacks it."""
        return self._ids[token]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.vocabulary[index] for index in ids)
