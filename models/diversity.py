"""Near neighbours that do not all say one thing: first what else is there, then more words for it.

The first step names things: by falling score, each word that is unlike those taken, as long as it scores
well, for half of the places. The second fills up by maximal marginal relevance (Carbonell and Goldstein 1998,
SIGIR): one after the other, what is relevant and unlike what was taken.
"""

from __future__ import annotations

import numpy as np

# How far below the best another thing may score, as a share of it (docs/lite.md).
DIVERSITY = 0.4
# How many neighbours a caller fetches for each place, and of how many the second step chooses.
POOL = 32
_FILL_POOL = 4
# Measured with the encoder `lite`: from this cosine on two words name one thing, and from this score on a
# word for another thing is nearly as often right as the one that it displaces. Where all words are more
# alike than that (Chinese-CLIP), there is one thing, and the second step does the work.
_ALIKE = 0.45
_SEEN = 0.2
# The weight of unlikeness against relevance in the second step, at a diversity of 1.
_UNLIKENESS = 0.4


def spread(scores: np.ndarray, vectors: np.ndarray, k: int, *, diversity: float = DIVERSITY) -> list[int]:
    """Choose k of N neighbours; the first is the best, and `diversity` 0 keeps the order by score.

    Args:
        scores: (N,) float32, best first; relevance is their share of the best.
        vectors: (N, D) float32, unit rows.
        k: how many to choose; more than N means all.
        diversity: 0 to 1; another thing is taken where its share of the best is 1 - diversity or more, up to
            k / 2 things beside the first.

    Returns their places, in the order of choice. Ties go to the better score. Raises ValueError for a
    diversity outside 0 to 1.
    """
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity must be from 0 to 1, not {diversity}")
    count = min(k, len(scores))
    relevance = _relevance(scores)
    chosen: list[int] = []
    if diversity:
        named = int(np.count_nonzero((relevance >= 1 - diversity) & (scores >= _SEEN)))
        chosen = _things(vectors[:named], min(count, 1 + k // 2))
    near = max(_FILL_POOL * k, max(chosen, default=0) + 1)
    return _fill(chosen, relevance[:near], vectors[:near], count, weight=_UNLIKENESS * diversity)


def _things(vectors: np.ndarray, count: int) -> list[int]:
    """Places of at most `count` unit rows, each unlike those before it."""
    chosen: list[int] = []
    unlike = np.ones(len(vectors), bool)
    while len(chosen) < count and unlike.any():
        chosen.append(int(np.argmax(unlike)))
        unlike &= vectors @ vectors[chosen[-1]] < _ALIKE
    return chosen


def _fill(
    chosen: list[int], relevance: np.ndarray, vectors: np.ndarray, count: int, *, weight: float
) -> list[int]:
    """`chosen`, and more places up to `count` by maximal marginal relevance."""
    chosen = list(chosen)
    likeness = (vectors @ vectors[chosen].T).max(axis=1, initial=-1)
    free = np.ones(len(relevance), bool)
    free[chosen] = False
    while len(chosen) < count:
        worth = (1 - weight) * relevance - weight * likeness
        place = int(np.argmax(np.where(free, worth, -np.inf)))
        chosen.append(place)
        free[place] = False
        likeness = np.maximum(likeness, vectors @ vectors[place])
    return chosen


def _relevance(scores: np.ndarray) -> np.ndarray:
    """Scores as shares of the best one; where the best is not positive, by how much they fall short."""
    if len(scores) and scores[0] > 0:
        return np.asarray(scores / scores[0])
    return scores - scores[:1]
