"""Parallelism (对仗): how well the two lines of a couplet answer each other, place by place.

In couplets 2 and 3 of a 律诗 each character stands opposite one of its own kind: number to number, colour to
colour, verb to verb. Which characters people set opposite each other was counted in the training split by
`models.training.parallelism`; docs/parallelism.md has the formula and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

_TABLE = Path(__file__).parent / "data" / "parallelism.npz"


class Parallelism:
    """Scores couplets in simplified characters. Immutable; safe to share between threads.

    The score is the mean over the places of the lines of log p(a opposite b) / p₀(a opposite b), in nats,
    smoothed and of low rank: p as people write, p₀ by chance in that place with those tones. 0 is chance. A
    place with a character that the table lacks counts 0. A character of the lower line that the upper line
    has too counts `repeated`, wherever it stands: people avoid it.
    """

    def __init__(self, table: Mapping[str, np.ndarray]) -> None:
        """`table` holds what models.training.parallelism writes, for V characters and rank K:

        characters (uint32 (V,), code points in ascending order), factors (int8 (V, K)), scales (float32 (V,),
        of the rows of factors), signs (int8 (K,), of the eigenvalues), repeated (float32 ()).
        """
        self._characters = table["characters"]
        self._factors = table["factors"]
        # The last scale is for unknown characters, so that they count 0 whatever row they are given.
        self._scales = np.append(table["scales"], np.float32(0))
        self._signs = table["signs"].astype(np.float32)
        self.repeated = float(table["repeated"])

    def score(self, upper: str, lower: str) -> float:
        """How parallel two lines of one length are. Raises ValueError when their lengths differ."""
        return float(self.scores(upper, [lower])[0])

    def scores(self, upper: str, lowers: Sequence[str]) -> np.ndarray:
        """The score of `upper` with each of N lines of its length, float64 (N,).

        Raises ValueError when a length differs.
        """
        if any(len(lower) != len(upper) for lower in lowers):
            raise ValueError(
                f"both lines of a couplet have one length; {upper!r} has {len(upper)} characters"
            )
        if not upper or not lowers:
            return np.zeros(len(lowers))
        above = _code_points(upper)
        below = _code_points("".join(lowers)).reshape(len(lowers), len(upper))
        products = np.einsum("tk,ntk->nt", self._vectors(above) * self._signs, self._vectors(below))
        return np.where(np.isin(below, above), self.repeated, products).mean(axis=1, dtype=np.float64)

    def opposite(self, upper: str, characters: Sequence[str]) -> np.ndarray:
        """Scores of each of N characters at each of the T places below `upper`: float32 (T, N)."""
        above, below = _code_points(upper), _code_points("".join(characters))
        products = (self._vectors(above) * self._signs) @ self._vectors(below).T
        return np.where(np.isin(below, above), np.float32(self.repeated), products)

    def _vectors(self, codes: np.ndarray) -> np.ndarray:
        """float32 (..., K): the factors of code points of any shape (...)."""
        rows = np.searchsorted(self._characters, codes).clip(max=len(self._characters) - 1)
        rows = np.where(self._characters[rows] == codes, rows, -1)
        return self._factors[rows] * self._scales[rows, None]


class Opposites:
    """Scores a whole vocabulary against an upper line, character by character."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Tokens of several characters score 0."""
        self._places = [place for place, token in enumerate(vocabulary) if len(token) == 1]
        self._characters = [vocabulary[place] for place in self._places]
        self._size = len(vocabulary)
        # Candidates times lines: a request has no more upper lines at once.
        self.scores = lru_cache(maxsize=32)(self._scores)

    def _scores(self, upper: str) -> np.ndarray:
        """The score of each token at each place, float32 (T, V), for T characters of `upper`; read-only."""
        scores = np.zeros((len(upper), self._size), dtype=np.float32)
        scores[:, self._places] = parallelism().opposite(upper, self._characters)
        scores.setflags(write=False)
        return scores


def _code_points(text: str) -> np.ndarray:
    """uint32 (T,)"""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


@cache
def parallelism() -> Parallelism:
    """The shipped table, read at the first call (about 10 ms)."""
    with np.load(_TABLE) as file:
        return Parallelism(dict(file))
