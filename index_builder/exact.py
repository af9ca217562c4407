"""Exact search for a few queries among some thousand vectors: a quick pass on small integers, then the truth.

The pass reads a quarter of the bytes and uses the processor's 8-bit products. It is exact all the same:
with a row w = ŵ + e and a query q = q̂ + f, where ŵ and q̂ are the rounded ones,

    |q·w − q̂·ŵ| = |q·e + f·ŵ| ≤ ‖q‖‖e‖ + ‖f‖‖ŵ‖       (Cauchy–Schwarz)

so that every row whose rounded score lies further below the k-th than twice the largest such bound cannot
be among the best k. The few that are left get their true scores. One bound for all rows leaves a few more of
them than each row's own, and saves four passes over all.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import faiss
import numpy as np

from index_builder.products import product_session

_LEVELS = 127
_BLOCKS = 64
_FEW_ROWS = 12  # for each wanted: their true scores cost less than ruling most of them out
_ROUNDING = 1e-5  # of float32 sums, relative to the lengths
_MOST_BYTES = 2**30  # of codes; a protocol buffer ends at twice that


class ExactSearch:
    """Exact top-k of (N, D) float32 rows by inner product; safe in many threads."""

    def __init__(self, rows: np.ndarray, *, owner: object = None) -> None:
        """`owner` is whatever keeps the memory of `rows` alive."""
        self._rows = rows
        self._owner = owner
        scales = np.maximum(np.abs(rows).max(axis=1), 1e-30) / np.float32(_LEVELS)
        codes = np.rint(rows / scales[:, np.newaxis]).astype(np.int8)
        rounded = codes * scales[:, np.newaxis]
        errors = np.linalg.norm(rows - rounded, axis=1) + _ROUNDING * np.linalg.norm(rows, axis=1)
        self._error = float(errors.max())
        self._longest = float(np.linalg.norm(rounded, axis=1).max())
        self._levels = query_levels()
        self._products = product_session(codes, scales, zero=self._levels + 1)

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
        scores = np.empty((len(queries), k), np.float32)
        ids = np.empty((len(queries), k), np.int64)
        largest = np.maximum(np.abs(queries).max(axis=1, keepdims=True), np.float32(1e-30))
        units = np.float32(self._levels) / largest
        scaled = queries * units
        codes = np.rint(scaled)
        numbers = (codes + np.float32(self._levels + 1)).astype(np.uint8)
        missed = scaled - codes
        for place, estimates in enumerate(self._products.run(None, {"u": numbers})[0]):
            error = math.sqrt(scaled[place] @ scaled[place]) * self._error
            error += math.sqrt(missed[place] @ missed[place]) * self._longest
            unit = float(units[place, 0])
            scores[place], ids[place] = self._best(queries[place], estimates, error, unit, k)
        return scores, ids

    def _best(
        self, query: np.ndarray, estimates: np.ndarray, error: float, unit: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best k rows by true scores. An estimate (N,) is at most `error` off score · `unit`."""
        lowest = _kth_largest(estimates, k) - 2 * error
        # Not >=, so that a query which overflows float32 leaves all rows in.
        left = (~(estimates < lowest)).nonzero()[0]
        if len(left) > _FEW_ROWS * k:
            # The true scores of those that look best raise the floor: most others need no look then.
            best = left[np.argpartition(estimates[left], -k)[-k:]]
            floor = float((self._rows[best] @ query).min()) * unit
            if math.isfinite(floor):
                left = left[~(estimates[left] < floor - abs(floor) * _ROUNDING - error)]
        scores = self._rows[left] @ query
        order = np.argsort(-scores, kind="stable")[:k]
        return scores[order], left[order]


@cache
def query_levels() -> int:
    """Levels on each side of zero that this processor multiplies exactly.

    Without VNNI two 8-bit products are added in 16 bits: 127 · 127 · 2 fits, 255 · 127 · 2 does not.
    """
    session = product_session(np.full((1, 64), _LEVELS, np.int8), np.ones(1, np.float32), zero=0)
    largest = session.run(None, {"u": np.full((1, 64), 255, np.uint8)})[0][0, 0]
    return _LEVELS if largest == 255 * _LEVELS * 64 else _LEVELS // 2


def _kth_largest(values: np.ndarray, k: int) -> float:
    """A lower bound of the k-th largest of N values: the k-th largest of the maxima of blocks."""
    blocks = max(_BLOCKS, 4 * k)
    width = len(values) // blocks
    if width > 1:
        # A block is every so many-th value: maxima of columns are quicker than those of rows.
        values = values[: blocks * width].reshape(width, blocks).max(axis=0)
    return float(np.partition(values, len(values) - k)[len(values) - k])
