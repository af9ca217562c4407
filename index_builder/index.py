"""The keyword index as its callers see it: unit vectors in, nearest keywords out.

`FaissIndex` searches in this process, `MilvusIndex` asks a cluster; both keep this contract, and the same
tests hold them to it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.diversity import DIVERSITY, POOL, spread


class InvalidVector(ValueError):
    """A query that is not a finite float32 array of the index's dimension."""


class IndexUnreachable(Exception):
    """An index that is not in this process does not answer. It may do so again."""


class Keyword(NamedTuple):
    """A found keyword.

    Attributes:
        text: the word.
        score: inner product with the query: the cosine, where the query has length one and the list
            neither weights nor a correction.
    """

    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The keywords near one query, best first.

    Attributes:
        scores: (N,) float32.
        words: N words.
        vectors: (N, D) float32 unit rows, or none where they were not wanted.
    """

    scores: np.ndarray
    words: Sequence[str]
    vectors: np.ndarray

    def keyword(self, place: int) -> Keyword:
        return Keyword(text=self.words[place], score=float(self.scores[place]))

    def keywords(self) -> list[Keyword]:
        return list(map(Keyword, self.words, self.scores.tolist()))


class KeywordIndex(ABC):
    """Keywords and their vectors, immutable; every method may be called from any thread at once.

    Attributes:
        version: the artifact's version name.
        count: number of keywords.
        dimension: of the vectors.
        encoder_fingerprint: of the encoder whose vectors these are.
        kind: the kind of index, e.g. `flat`.
        local: whether it is searched in this process. Any search of one that is not may raise
            IndexUnreachable.
    """

    version: str
    count: int
    dimension: int
    encoder_fingerprint: str
    kind: str
    local: bool = True

    @abstractmethod
    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest keywords of each row.

        Args:
            vectors: (N, D) float32, finite; unit rows make the scores cosines.
            k: neighbours per row, at least 1; more than `count` means all of them.

        Returns scores (N, K) float32, highest first, and ids (N, K) int64, with K = min(k, count). An
        approximate kind fills the end of a row with id -1 where it finds fewer. Raises InvalidVector for
        other vectors, ValueError for k below 1.
        """

    @abstractmethod
    def words(self, ids: Sequence[int]) -> list[str]:
        """The keywords of these ids."""

    @abstractmethod
    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """(N, D) float32, the unit rows of these ids."""

    def close(self) -> None:  # noqa: B027
        """Free threads and connections; searching ends with it. Harmless when repeated."""

    def nearest(self, vector: np.ndarray, k: int) -> list[Keyword]:
        """The at most `k` nearest keywords of one (D,) float32 vector, best first. Raises as `search`."""
        return self.neighbours(vector, k).keywords()

    def diverse(self, vector: np.ndarray, k: int, *, diversity: float = DIVERSITY) -> list[Keyword]:
        """The best keyword of one (D,) float32 vector, then near ones that say something else.

        Chosen among the POOL · k nearest by maximal marginal relevance (`models.diversity.spread`), in the
        order of choice: scores need not fall. `diversity` 0 gives `nearest`. Raises as `search`, and
        ValueError for a diversity outside 0 to 1.
        """
        found = self.neighbours(vector, POOL * k, with_vectors=True)
        chosen = spread(found.scores, found.vectors, k, diversity=diversity)
        return [found.keyword(place) for place in chosen]

    def neighbours(self, vector: np.ndarray, k: int, *, with_vectors: bool = False) -> Neighbours:
        """What `search` finds for one (D,) float32 vector, with words, and their vectors where wanted."""
        scores, ids = self.search(np.asarray(vector)[np.newaxis], k)
        return self._named(scores[0], ids[0], with_vectors=with_vectors)

    def _named(self, scores: np.ndarray, ids: np.ndarray, *, with_vectors: bool = False) -> Neighbours:
        """One row of what `search` gives, (K,) both."""
        places = filled(ids)
        vectors = self.vectors(places) if with_vectors else np.empty((0, self.dimension), np.float32)
        return Neighbours(scores=scores[: len(places)], words=self.words(places), vectors=vectors)


def filled(ids: np.ndarray) -> list[int]:
    """Without the gap at the end of a row (K,) of ids."""
    places: list[int] = ids.tolist()
    return places if places[-1] >= 0 else [place for place in places if place >= 0]


def check_query(vectors: np.ndarray, k: int, *, dimension: int) -> None:
    """Raises InvalidVector or ValueError for what `KeywordIndex.search` does not take."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if vectors.dtype != np.float32:
        raise InvalidVector(f"vectors must be float32, not {vectors.dtype}")
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise InvalidVector(f"vectors must have shape (N, {dimension}), not {vectors.shape}")
    # One quick product tells of most queries that they are finite; its overflow says nothing.
    if not math.isfinite(np.vdot(vectors, vectors)) and not np.isfinite(vectors).all():
        raise InvalidVector("vectors must be finite")
