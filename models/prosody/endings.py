"""How lines end: which character closes a line after which, counted in the training split.

The constraint looks ahead with it. A mask alone lets a poet begin a word that no rhyme can finish
(湖上梦烟水有扁); weighting the character before the last one by how likely a wanted one follows it is the
exact posterior, with P(last | before) in the place of the model's own probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

_TABLE = Path(__file__).parent / "data" / "endings.npz"
# So many imagined uses, spread as lines' ends are over all characters, join the counted ones (additive
# smoothing): what was never seen is then unlikely, not impossible.
_PSEUDO_COUNT = 10.0


class Endings:
    """The counts, over the token ids of one vocabulary of V tokens."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        table = _table()
        ids = {token: index for index, token in enumerate(vocabulary) if len(token) == 1}
        place = np.array([ids.get(chr(code), -1) for code in table["characters"]], dtype=np.int64)
        before, last = place[table["before"]], place[table["last"]]
        known = (before >= 0) & (last >= 0)
        # By closing character, so that one character's pairs lie together.
        order = np.argsort(last[known], kind="stable")
        self._before = before[known][order]
        self._last = last[known][order]
        self._count = table["count"][known][order].astype(np.float32)
        self._seen = np.zeros(len(vocabulary), dtype=np.float32)
        self._seen[place[place >= 0]] = table["seen"][place >= 0]
        self.closing = np.bincount(self._last, weights=self._count, minlength=len(vocabulary))
        """float64 (V,): how many lines each token closes."""

    def count_before(self, wanted: np.ndarray) -> np.ndarray:
        """For each token, how many times one of `wanted`, bool (V,), closed a line after it. float32 (V,)."""
        chosen = wanted[self._last]
        counts = np.bincount(self._before[chosen], weights=self._count[chosen], minlength=len(wanted))
        return counts.astype(np.float32)

    def count_before_one(self, token: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that stand before `token` at a line's end, int64 (M,), and how often, float32 (M,)."""
        start, end = np.searchsorted(self._last, [token, token + 1])
        return self._before[start:end], self._count[start:end]

    def share_of(self, wanted: np.ndarray) -> float:
        """The share of all lines that one of `wanted`, bool (V,), closes."""
        return float(self.closing[wanted].sum() / self.closing.sum())

    def log_share(self, counts: np.ndarray, share: float) -> np.ndarray:
        """log P(a wanted token closes the line | the token before it), float32 (V,).

        Args:
            counts: what `count_before` gave for the wanted ones.
            share: the wanted ones' share of all lines' ends.
        """
        return np.log((counts + _PSEUDO_COUNT * share) / (self._seen + _PSEUDO_COUNT))


@cache
def _table() -> dict[str, np.ndarray]:
    with np.load(_TABLE) as file:
        return dict(file)
