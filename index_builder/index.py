"""The keyword index: unit vectors in, nearest keywords out.

One query among a few thousand vectors takes about 0.13 ms on one core (faiss 1.15.1, 8,000 of 200
dimensions), and concurrent searches on the CPU are safe. So each search gets one OpenMP thread: a team
wins nothing for a single query and takes cores from the requests beside it. FAISS's own crossover to
BLAS is kept, since BLAS loses below some eight queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from models.diversity import DIVERSITY, POOL, spread


class InvalidVector(ValueError):
    """A query that is not a finite float32 array of the index's dimension."""


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """A found keyword.

    Attributes:
        text: the word.
        score: inner product with the query; the cosine, where the query has length one.
    """

    text: str
    score: float


class KeywordIndex:
    """Keywords and their vectors, immutable; every method may be called from any thread at once.

    Attributes:
        version: the artifact's version name.
        keywords: the words; a word's place is its id.
        count: number of keywords.
        dimension: of the vectors.
        encoder_fingerprint: of the encoder whose vectors these are.
        kind: the kind of FAISS index, e.g. `flat`.
    """

    def __init__(
        self,
        index: faiss.Index,
        keywords: Sequence[str],
        *,
        version: str,
        encoder_fingerprint: str,
        kind: str,
    ) -> None:
        if index.ntotal != len(keywords):
            raise ValueError(f"{index.ntotal} vectors for {len(keywords)} keywords")
        self._index = index
        self.keywords = tuple(keywords)
        self.version = version
        self.count = len(self.keywords)
        self.dimension = int(index.d)
        self.encoder_fingerprint = encoder_fingerprint
        self.kind = kind

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest keywords of each row.

        Args:
            vectors: (N, D) float32, finite; unit rows make the scores cosines.
            k: neighbours per row, at least 1; more than `count` means all of them.

        Returns scores (N, K) float32, highest first, and ids (N, K) int64, with K = min(k, count). An
        approximate kind fills the end of a row with id -1 where it finds fewer. Raises InvalidVector for
        other vectors, ValueError for k below 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        _check(vectors, self.dimension)
        # The setting belongs to the calling thread: made once elsewhere it would not reach this one.
        faiss.omp_set_num_threads(1)
        return self._index.search(np.ascontiguousarray(vectors), min(k, self.count))

    def nearest(self, vector: np.ndarray, k: int) -> list[Keyword]:
        """The at most `k` nearest keywords of one (D,) float32 vector, best first. Raises as `search`."""
        scores, ids = self.search(np.asarray(vector)[np.newaxis], k)
        return [
            Keyword(text=self.keywords[place], score=score)
            for score, place in zip(scores[0].tolist(), ids[0].tolist(), strict=True)
            if place >= 0
        ]

    def diverse(self, vector: np.ndarray, k: int, *, diversity: float = DIVERSITY) -> list[Keyword]:
        """The best keyword of one (D,) float32 vector, then near ones that say something else.

        Chosen among the POOL · k nearest by maximal marginal relevance (`models.diversity.spread`), in the
        order of choice: scores need not fall. `diversity` 0 gives `nearest`. Raises as `search`, and
        ValueError for a diversity outside 0 to 1.
        """
        scores, ids = self.search(np.asarray(vector)[np.newaxis], POOL * k)
        found = ids[0] >= 0
        scores, ids = scores[0][found], ids[0][found]
        chosen = spread(scores, self._index.reconstruct_batch(ids), k, diversity=diversity)
        return [Keyword(text=self.keywords[ids[place]], score=float(scores[place])) for place in chosen]


def _check(vectors: np.ndarray, dimension: int) -> None:
    if vectors.dtype != np.float32:
        raise InvalidVector(f"vectors must be float32, not {vectors.dtype}")
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise InvalidVector(f"vectors must have shape (N, {dimension}), not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise InvalidVector("vectors must be finite")
