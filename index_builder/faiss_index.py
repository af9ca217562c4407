"""A keyword index in this process, on FAISS.

One search of a few thousand vectors is a fraction of a millisecond on one core, and concurrent searches on
the CPU are safe. So each gets one OpenMP thread: a team wins nothing for a single query and takes cores
from the requests beside it. FAISS's own crossover to BLAS is kept, since BLAS loses below some eight queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import faiss
import numpy as np

from index_builder.exact import ExactSearch
from index_builder.index import Keyword, KeywordIndex, check_query, filled
from index_builder.kinds import IndexKind

# Up to so many estimates queries are searched for one by one; for more FAISS multiplies matrices.
_FEW_ESTIMATES = 2**20


class Searcher(Protocol):
    """What is asked of a FAISS index, and of what stands in for one on a device."""

    ntotal: int
    d: int

    def search(self, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]: ...


class FaissIndex(KeywordIndex):
    """Keywords, their vectors and a FAISS index of them.

    Attributes:
        keywords: the words; a word's place is its id.
        shift: (D,) float32, what is taken off each query, or None.
    """

    def __init__(
        self,
        index: Searcher,
        keywords: Sequence[str],
        *,
        version: str,
        encoder_fingerprint: str,
        kind: IndexKind | str,
        rows: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> None:
        """
        Args:
            index: of `rows`, each times its weight; one with a `close` method is closed with this.
            rows: (N, D) float32 unit rows, e.g. memory-mapped; out of the index itself where missing.
            weights: (N,) float32, what each keyword's score is multiplied by.
            shift: (D,) float32, taken off each query: the correction by mean similarity.

        Raises ValueError where the numbers of vectors and keywords differ.
        """
        if index.ntotal != len(keywords):
            raise ValueError(f"{index.ntotal} vectors for {len(keywords)} keywords")
        kind = IndexKind(kind=kind) if isinstance(kind, str) else kind
        self.keywords = keywords if isinstance(keywords, tuple) else tuple(keywords)
        self.version = version
        self.count = len(self.keywords)
        self.dimension = int(index.d)
        self.encoder_fingerprint = encoder_fingerprint
        self.kind = kind.kind
        self._index = index
        self._rows = rows
        self._weights = weights
        self.shift = shift
        self._rescore = int(kind.parameters.get("rescore", 1)) if rows is not None else 1

    @cached_property
    def _exact(self) -> ExactSearch | None:
        # Made by the first search, which is a warming one: who only verifies or publishes needs none.
        return ExactSearch.of(self._index)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        check_query(vectors, k, dimension=self.dimension)
        k = min(k, self.count)
        queries = np.ascontiguousarray(vectors if self.shift is None else vectors - self.shift)
        if self._exact is not None and (len(queries) == 1 or len(queries) * self.count <= _FEW_ESTIMATES):
            return self._exact.search(queries, k)
        # The setting belongs to the calling thread: made once elsewhere it would not reach this one.
        faiss.omp_set_num_threads(1)
        if self._rescore == 1:
            return self._index.search(queries, k)
        _, ids = self._index.search(queries, min(k * self._rescore, self.count))
        return self._rescored(queries, ids, k)

    def nearest(self, vector: np.ndarray, k: int) -> list[Keyword]:
        # As the base class does, without what only `neighbours` needs: lookups are this and little else.
        scores, ids = self.search(np.asarray(vector)[np.newaxis], k)
        return list(map(Keyword, self.words(filled(ids[0])), scores[0].tolist()))

    def words(self, ids: Sequence[int]) -> list[str]:
        return [self.keywords[place] for place in ids]

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        if self._rows is not None:
            return np.ascontiguousarray(self._rows[np.asarray(ids, np.int64)])
        rows = self._index.reconstruct_batch(np.asarray(ids, np.int64))  # type: ignore[attr-defined]
        return rows if self._weights is None else rows / self._weights[ids][:, np.newaxis]

    def stored_rows(self) -> np.ndarray:
        """(N, D) float32, all rows times their weights: what is searched. Mapped where they have none."""
        rows = self.vectors(range(self.count)) if self._rows is None else self._rows
        return rows if self._weights is None else rows * self._weights[:, np.newaxis]

    def close(self) -> None:
        close = getattr(self._index, "close", None)
        if close is not None:
            close()

    def _rescored(self, queries: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best of these ids, by the vectors themselves instead of their codes."""
        assert self._rows is not None
        scores = np.empty((len(queries), k), np.float32)
        best = np.empty((len(queries), k), np.int64)
        for place, (query, found) in enumerate(zip(queries, ids, strict=True)):
            values = np.full(len(found), -np.inf, np.float32)
            filled = found >= 0
            values[filled] = self._rows[found[filled]] @ query
            if self._weights is not None:
                values[filled] *= self._weights[found[filled]]
            order = np.argsort(-values, kind="stable")[:k]
            scores[place], best[place] = values[order], found[order]
        return scores, best
