"""Choosing among drafts: the best of several lines to go on with, and standard scores to rank poems by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.prompt import unused_keywords
from models.prosody import parallelism
from models.prosody.doubling import wrongly_doubled

# The mean score of people's middle couplets is 0.65 (五律) and 0.74 (七律): more gains nothing.
_PEOPLES = 0.7

EncodeTexts = Callable[[Sequence[str]], np.ndarray]
"""N texts to unit vectors, float32 (N, D)."""


def standard_scores(values: np.ndarray) -> np.ndarray:
    """Distance from the mean in standard deviations, float64 (N,); 0 where all are alike.

    Sums of standard scores need no weight between measures that would have to be tuned to each model.
    """
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Lines of which one is to go on a poem.

    Attributes:
        before: the poem's lines so far.
        lines: N lines.
        log_probabilities: of each of them, natural, (N,).
        parallel: whether they are to close a parallel couplet.
    """

    before: Sequence[str]
    lines: Sequence[str]
    log_probabilities: np.ndarray
    parallel: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What a line gains by what is good in it, in nats: a line that lacks it makes up for it
    by being so much likelier, divided by the weight of likelihood.

    Attributes:
        likelihood: by a nat of its log probability.
        keyword: by a keyword that no line before it holds. A second one gains nothing: two crowd a line.
        parallelism: where it closes a parallel couplet, by a nat of the mean over its places.
        similarity: by a cosine of 1 between the poem so far and the query.
        fault: what it loses by a character that is doubled and no word, or by a pair of characters that the
            poem has already.
    """

    likelihood: float = 0.5
    keyword: float = 4.0
    parallelism: float = 5.0
    similarity: float = 10.0
    fault: float = 5.0


class LineJudge:
    """Says which of several lines a poem goes on with. Immutable; safe to share between threads."""

    def __init__(
        self,
        *,
        query: np.ndarray | None = None,
        encode: EncodeTexts | None = None,
        weights: Weights | None = None,
    ) -> None:
        """`query` (D,) is the unit vector of what the poem is about; without it and `encode` similarity
        does not count."""
        self._query = query
        self._encode = encode
        self._weights = weights or Weights()

    def choose(self, trials: Sequence[Trials], *, keywords: Sequence[str]) -> list[int]:
        """For each poem, the place of its best line."""
        similarities = self._similarities(trials)
        return [
            int(np.argmax(self._merits(lines, keywords) + self._weights.similarity * similarity))
            for lines, similarity in zip(trials, similarities, strict=True)
        ]

    def _merits(self, trials: Trials, keywords: Sequence[str]) -> np.ndarray:
        """Of each line, without similarity: float64 (N,), in nats."""
        weights = self._weights
        merits = weights.likelihood * trials.log_probabilities.astype(np.float64)
        merits += weights.keyword * brings_keyword(trials, keywords)
        merits -= weights.fault * np.array([faults(line, trials.before) for line in trials.lines])
        if trials.parallel:
            scores = parallelism().scores(trials.before[-1], trials.lines)
            merits += weights.parallelism * np.minimum(scores, _PEOPLES)
        return merits

    def _similarities(self, trials: Sequence[Trials]) -> list[np.ndarray]:
        """Cosine of each poem, with each of its lines, and the query; all are encoded in one batch."""
        sizes = [len(poem.lines) for poem in trials]
        if self._query is None or self._encode is None or not self._weights.similarity:
            return [np.zeros(size) for size in sizes]
        texts = ["，".join([*poem.before, line]) for poem in trials for line in poem.lines]
        return np.split(self._encode(texts) @ self._query, np.cumsum(sizes)[:-1])


def brings_keyword(trials: Trials, keywords: Sequence[str]) -> np.ndarray:
    """Which lines hold a keyword that no line before them holds: bool (N,)."""
    unused = unused_keywords(keywords, trials.before)
    return np.array([any(word in line for word in unused) for line in trials.lines])


def faults(line: str, before: Sequence[str]) -> int:
    """How many faults of a line readers see at once: characters that are doubled and no word (宫宫), pairs of
    characters that the line or the poem has already (明月 … 明月)."""
    seen = {pair for other in before for pair in _pairs(other)}
    pairs = _pairs(line)
    return wrongly_doubled(line) + sum(pair in seen for pair in set(pairs)) + len(pairs) - len(set(pairs))


def _pairs(line: str) -> list[str]:
    return [line[start : start + 2] for start in range(len(line) - 1)]
