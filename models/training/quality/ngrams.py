"""A character n-gram model of verse: interpolated modified Kneser-Ney (Chen and Goodman 1999, section 3).

A line is a sequence of its own, begun by a mark; each character is predicted from the mark and up to n − 1
characters before it. Ends of lines are not predicted: the form tells them.

    p(w | h) = max(c(hw) − D(c(hw)), 0) / c(h·) + γ(h) p(w | h without its first character)

c counts occurrences for the longest runs and for those that begin a line, and for all others the different
characters that they follow (N₁₊(·hw)). D is D₁, D₂ or D₃₊ by the count, from the numbers of runs that are
counted once to four times. Below single characters stands an even share for each known character and for the
unknown one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.training.quality.characters import Characters

_MARK = "\n"


@dataclass(frozen=True, kw_only=True)
class _Order:
    """Runs of one length, K of them after H different histories.

    Attributes:
        keys: int64 (K,), sorted.
        counts: int64 (K,).
        discounted: float32 (K,), count less discount.
        histories: int64 (H,), sorted.
        totals: float32 (H,), the counts after a history.
        left: float32 (H,), what the discounts after it left over.
    """

    keys: np.ndarray
    counts: np.ndarray
    discounted: np.ndarray
    histories: np.ndarray
    totals: np.ndarray
    left: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Lifts:
    """By how much runs of one length make their last character likelier than it is after a shorter history.

    Attributes:
        histories: int64 (K, length − 1), the numbers of the characters before.
        last: int64 (K,), the number of the last one.
        counts: int64 (K,), how often the run was counted.
        nats: float64 (K,), log p(w|h) − log γ(h) p(w|h⁻), more than 0; infinite where nothing was left over.
    """

    histories: np.ndarray
    last: np.ndarray
    counts: np.ndarray
    nats: np.ndarray


class NgramModel:
    """Learned from lines; the same lines give the same model."""

    def __init__(self, lines: Sequence[str], *, order: int = 4) -> None:
        """Raises ValueError where there is no line, OverflowError for more characters than keys can tell."""
        text = _text(lines)
        if len(text) <= len(lines):
            raise ValueError("no verse to learn from")
        self._characters = Characters(text)
        self._mark = int(self._characters.encode(_MARK)[0])
        self._orders = [
            _discounted(keys, counts, self._characters.base)
            for keys, counts in self._counts(self._characters.encode(text), order)
        ]

    def log_probabilities(self, lines: Sequence[str]) -> np.ndarray:
        """Natural logarithm, float64 (T,), of each character of all lines, given those before it there."""
        ids = self._characters.encode(_text(lines))
        depth = _depth(ids == self._mark)
        probabilities = np.full(len(ids), 1 / (self._characters.base - 2))
        for length, order in enumerate(self._orders, start=1):
            places = np.flatnonzero(depth >= max(1, length - 1))
            keys = self._characters.keys(ids, length)[places - length + 1]
            probabilities[places] = _interpolate(order, keys, self._characters.base, probabilities[places])
        return np.log(probabilities[depth > 0])

    def numbers(self, text: str) -> np.ndarray:
        """int64 (T,), the numbers of characters, as in `Lifts`; all that were not learned have the same."""
        return self._characters.encode(text)

    @property
    def line_start(self) -> int:
        """The number that stands before a line."""
        return self._mark

    def unigrams(self, numbers: np.ndarray) -> np.ndarray:
        """Natural logarithm, float64 (N,), of characters by themselves, given their numbers (N,)."""
        return np.log(self._probabilities(numbers, 1))

    def lifts(self, length: int) -> Lifts:
        """Of all runs of a length from 2 that were counted."""
        order, base = self._orders[length - 1], self._characters.base
        history, _ = _find(order.histories, order.keys // base)
        lower = self._probabilities(order.keys % base ** (length - 1), length - 1)
        places = range(length - 2, -1, -1)
        with np.errstate(divide="ignore"):
            nats = np.log1p(order.discounted / (order.left[history] * lower))
        return Lifts(
            histories=np.stack([order.keys // base ** (place + 1) % base for place in places], axis=1),
            last=order.keys % base,
            counts=order.counts,
            nats=nats,
        )

    def _probabilities(self, keys: np.ndarray, length: int) -> np.ndarray:
        """float64 (N,), of the last characters of runs of a length, after the others."""
        base = self._characters.base
        found = np.full(len(keys), 1 / (base - 2))
        for order in range(1, length + 1):
            found = _interpolate(self._orders[order - 1], keys % base**order, base, found)
        return found

    def perplexity(self, lines: Sequence[str]) -> float:
        """e to the mean negative log probability of a character."""
        return float(np.exp(-self.log_probabilities(lines).mean()))

    def _counts(self, ids: np.ndarray, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each length from 1: the runs, sorted, and their counts."""
        depth = _depth(ids == self._mark)
        longest = self._runs(ids, depth >= max(1, order - 1), order)
        counted = [np.unique(longest, return_counts=True)]
        for length in range(order - 1, 0, -1):
            # A run that begins a line follows nothing: its occurrences count.
            begun = self._runs(ids, depth == length - 1, length) if length > 1 else longest[:0]
            following = counted[0][0] % self._characters.base**length
            counted.insert(0, np.unique(np.concatenate([following, begun]), return_counts=True))
        return counted

    def _runs(self, ids: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
        """Keys of the runs of a length that end where `ends`, bool (T,), says."""
        return self._characters.keys(ids, length)[np.flatnonzero(ends) - length + 1]


def _text(lines: Sequence[str]) -> str:
    return "".join(_MARK + line for line in lines)


def _depth(marks: np.ndarray) -> np.ndarray:
    """How far each place is from the mark before it, int64 (T,); 0 at the mark itself."""
    places = np.arange(len(marks))
    return places - np.maximum.accumulate(np.where(marks, places, 0))


def _discounted(keys: np.ndarray, counts: np.ndarray, base: int) -> _Order:
    discounts = _discounts(counts)[counts.clip(max=3)].astype(np.float32)
    histories, starts = np.unique(keys // base, return_index=True)
    return _Order(
        keys=keys,
        counts=counts,
        discounted=(counts - discounts).astype(np.float32),
        histories=histories,
        totals=np.add.reduceat(counts, starts).astype(np.float32),
        left=np.add.reduceat(discounts, starts),
    )


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D₀ = 0, D₁, D₂, D₃₊, each within [0, its count]; one half where a small text does not tell."""
    once, twice, thrice, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return np.array([0.0, 0.5, 0.5, 0.5])
    share = once / (once + 2 * twice)
    ratios = (twice / once, thrice / twice, four / thrice)
    wanted = [count - (count + 1) * share * ratio for count, ratio in enumerate(ratios, start=1)]
    return np.array([0.0, *(min(max(each, 0.0), count) for count, each in enumerate(wanted, start=1))])


def _interpolate(order: _Order, keys: np.ndarray, base: int, lower: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (N,), of runs' last characters; `lower` are those from one character less."""
    history, known = _find(order.histories, keys // base)
    run, seen = _find(order.keys, keys)
    own = np.where(seen, order.discounted[run], 0.0)
    return np.where(known, (own + order.left[history] * lower) / order.totals[history], lower)


def _find(sorted_keys: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each key is, or would be, and whether it is there."""
    places = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    return places, sorted_keys[places] == keys
