"""A bonus for keywords: what the poem is asked to say becomes likelier where a line has room for it.

A poet that samples freely uses a third of its keywords. Choosing among many lines brings them in at the price
of variety, for the likeliest lines are chosen with them; a bonus on the logits costs none (docs/choice.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.prompt import unused_keywords
from models.tokenizer import CharacterTokenizer


@dataclass(frozen=True, kw_only=True)
class Bonus:
    """In nats, on the logit of a keyword's first character, and of each that follows; 0 is off."""

    first: float = 1.0
    next: float = 2.0


BONUS = Bonus()
OFF = Bonus(first=0.0, next=0.0)


class Wishes:
    """The keywords of one request."""

    def __init__(
        self,
        keywords: Sequence[str],
        tokenizer: CharacterTokenizer,
        *,
        length: int,
        bonus: Bonus,
    ) -> None:
        """`length` is the number of characters of a line. Words that the poet cannot write are left out."""
        encoded = {word: tokenizer.encode(word) for word in keywords}
        self._words = {word: ids for word, ids in encoded.items() if tokenizer.unk_id not in ids}
        self._length = length
        self._bonus = bonus

    def add(self, weights: np.ndarray, lines: Sequence[str], line: str) -> None:
        """Add the bonus to the weights of the next character, float32 (V,), in place.

        A line is wished one keyword that no line before it has; two would crowd it.

        Args:
            lines: the poem's finished lines.
            line: the beginning of the next one.
        """
        unused = unused_keywords(self._words, lines)
        if any(word in line for word in unused):
            return
        going_on = {self._words[word][begun] for word, begun in self._begun(unused, line)}
        if going_on:
            self._raise(weights, going_on, self._bonus.next)
            return
        room = self._length - len(line)
        firsts = {self._words[word][0] for word in unused if len(word) <= room}
        self._raise(weights, firsts, self._bonus.first)

    def _raise(self, weights: np.ndarray, ids: Iterable[int], bonus: float) -> None:
        # One by one: for two or three of them an array of places costs more.
        for index in ids:
            weights[index] += bonus

    def _begun(self, words: Sequence[str], line: str) -> Iterator[tuple[str, int]]:
        """Words that fit and that the line ends with the beginning of, and how much of them is there."""
        for word in words:
            for begun in range(len(word) - 1, 0, -1):
                if line.endswith(word[:begun]) and len(word) - begun <= self._length - len(line):
                    yield word, begun
                    break
