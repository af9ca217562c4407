"""Exact search for a few queries among some thousand vectors: estimates by small integers, then the truth.

The estimates read a quarter of the bytes and use the processor's 8-bit products. The search is exact all the
same: with a row w = ŵ + e and a query q = q̂ + f, where ŵ and q̂ are the rounded ones,

    |q·w − q̂·ŵ| = |q·e + f·ŵ| ≤ ‖q‖‖e‖ + ‖f‖‖ŵ‖       (Cauchy–Schwarz)

The rows that look best get their true scores. Where the k-th of these is further above the lowest of their
estimates than the largest such bound, no other row can be among the best k. Else more rows are looked at.

Few calls are made for a query, for each costs more than its arithmetic: in a server other work has driven
code and data of the last search out of the processor's caches.
"""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np

from index_builder.products import candidate_session
from models.precision import exact_products

_LEVELS = 127
_FOUND = ("estimates", "ids", "rounded")
# Rows that get true scores: of unit vectors hardly any query needs more.
_FOR_EACH, _BESIDE = 4, 96
_WIDER = 8
_ROUNDING = 1e-5  # of float32 sums, relative to the lengths
_SHORTEST = 1e-20  # squared
_MOST_BYTES = 2**30  # of codes; a protocol buffer ends at twice that


class ExactSearch:
    """Exact top-k of (N, D) float32 rows by inner product; safe in many threads."""

    def __init__(self, rows: np.ndarray, *, owner: object = None) -> None:
        """`owner` is whatever keeps the memory of `rows` alive."""
        self._rows = rows
        self._owner = owner
        levels = row_levels()
        scales = np.maximum(np.abs(rows).max(axis=1), 1e-30) / np.float32(levels)
        codes = np.rint(rows / scales[:, np.newaxis]).astype(np.int8)
        rounded = codes * scales[:, np.newaxis]
        errors = np.linalg.norm(rows - rounded, axis=1) + _ROUNDING * np.linalg.norm(rows, axis=1)
        self._error = float(errors.max())
        self._longest = float(np.linalg.norm(rounded, axis=1).max())
        self._session = candidate_session(codes, scales)

    @classmethod
    def of(cls, index: Any) -> ExactSearch | None:
        """For a flat FAISS index, sharing its memory; None for any other, an empty or a very large one."""
        flat = faiss.downcast_index(index) if isinstance(index, faiss.Index) else index
        if type(flat) is not faiss.IndexFlatIP or not 0 < flat.ntotal * flat.d <= _MOST_BYTES:
            return None
        rows = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
        return cls(rows, owner=flat)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best k rows for each of (B, D) float32 queries, k at most N.

        Returns scores (B, k) float32, highest first, and ids (B, k) int64; of equal scores the smaller id.
        What a query gives does not depend on those beside it, to the last bit.
        """
        if len(queries) == 1:
            scores, ids = self._best(queries, k)
            return scores[np.newaxis], ids[np.newaxis]
        found = [self._best(queries[place : place + 1], k) for place in range(len(queries))]
        scores = np.array([scores for scores, _ in found], np.float32).reshape(-1, k)
        return scores, np.array([ids for _, ids in found], np.int64).reshape(-1, k)

    def _best(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best k rows for a query (1, D): scores (k,) and ids (k,)."""
        wanted = _FOR_EACH * k + _BESIDE
        while wanted < len(self._rows):
            estimates, ids, rounded = self._session.run(_FOUND, {"q": query, "m": np.array([wanted])})
            places = ids[0]
            # So that of equal scores the smaller id comes first.
            places.sort()
            scores, places = _highest(self._rows.take(places, axis=0), query[0], k, places)
            missed = query - rounded
            length = float(np.vdot(query, query))
            error = math.sqrt(length) * self._error + math.sqrt(np.vdot(missed, missed)) * self._longest
            # False too where squares overflow or vanish in float32.
            if length > _SHORTEST and float(estimates[0, -1]) + error < float(scores[-1]):
                return scores, places
            wanted *= _WIDER
        return _highest(self._rows, query[0], k, np.arange(len(self._rows)))


def _highest(rows: np.ndarray, query: np.ndarray, k: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The k highest true scores of (N, D) rows, and their ids; of equal ones the first."""
    # Row by row, unlike a matrix product, whose sums depend on where a row stands: equal rows score alike.
    scores = np.vecdot(rows, query)
    order = (-scores).argsort(kind="stable")[:k]
    return scores[order], ids[order]


def row_levels() -> int:
    """Levels on each side of zero that this processor multiplies exactly with 255 of a query."""
    return _LEVELS if exact_products() else _LEVELS // 2
