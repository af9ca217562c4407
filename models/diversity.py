"""Maximal marginal relevance: near neighbours that do not all say one thing.

Carbonell and Goldstein 1998 (SIGIR): one after the other, take what is relevant and unlike what was taken.
"""

from __future__ import annotations

import numpy as np

# Weight of unlikeness against relevance, and how many neighbours one place is chosen from (docs/lite.md).
DIVERSITY = 0.2
POOL = 4


def spread(scores: np.ndarray, vectors: np.ndarray, k: int, *, diversity: float = DIVERSITY) -> list[int]:
    """Choose k of N neighbours; the first is the best, and `diversity` 0 keeps the order by score.

    Args:
        scores: (N,) float32, best first; relevance is their share of the best.
        vectors: (N, D) float32, unit rows.
        k: how many to choose; more than N means all.
        diversity: 0 to 1.

    Returns their places, in the order of choice. Ties go to the better score. Raises ValueError for a
    diversity outside 0 to 1.
    """
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity must be from 0 to 1, not {diversity}")
    relevance = _relevance(scores)
    likeness = np.full(len(scores), -np.inf, np.float32)
    free = np.ones(len(scores), bool)
    chosen: list[int] = []
    while len(chosen) < min(k, len(scores)):
        worth = (1 - diversity) * relevance
        if chosen and diversity:
            worth = worth - diversity * likeness
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
