"""What an index finds of the true nearest keywords, and the least effort with which it finds enough.

The truth takes one pass over all vectors, for all queries at once; after it no vector is read again. An
index that scores its candidates by their vectors finds each true neighbour that is among them, so that the
candidates' numbers alone tell what it finds with few of them and with many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import faiss
import numpy as np

from index_builder.kinds import IndexKind, read_at_random, set_effort

TARGET_RECALL = 0.95

_K = 10
_TUNING_QUERIES, _JUDGING_QUERIES = 128, 256
# An exact kind is known to find all: a few queries show that it holds these vectors.
_FLAT_QUERIES = 16
_SEED = 0
_CHUNK = 65_536
_TOLERANCE = 1e-5  # of equal scores
_EFFORTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_LEAST_EFFORT_HNSW, _MOST_EFFORT_HNSW = 16, 1024
_RESCORES = (1, 4, 16)
_LEAST_GAIN = 0.005
# Codes that are compared in the time in which one vector is read, perhaps from a disk, and scored.
_CODES_PER_ROW = 100
_EFFORT_NAMES = {"hnsw": "search", "ivf_flat": "probe", "ivf_pq": "probe"}


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Share of the true k nearest that the index finds.

    Attributes:
        k: neighbours asked for.
        value: 0 to 1, against exact search; a neighbour that ties with the k-th true one counts.
        queries: number of queries.
        method: what the queries are.
    """

    k: int
    value: float
    queries: int
    method: str


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Queries and their true neighbours.

    Attributes:
        queries: (Q, D) float32.
        scores, ids: (Q, M) float32 and int64, the best M of each, M up to twice `k`.
        k: neighbours that an index is asked for.
        vectors: (N, D) float32, all that there are.
        weights: (N,) float32, what each vector's score is multiplied by, or None.
    """

    queries: np.ndarray
    scores: np.ndarray
    ids: np.ndarray
    k: int
    vectors: np.ndarray
    weights: np.ndarray | None = None

    def recall(self, candidates: np.ndarray) -> float:
        """Share of the true k nearest among candidates (Q, C) int64, -1 where there is none, best first."""
        hits = [min(self.k, self._good(row, found)) for row, found in enumerate(candidates)]
        return sum(hits) / (self.k * len(self.queries))

    def _good(self, row: int, found: np.ndarray) -> int:
        """How many score no less than the k-th true one, as far as can be told apart."""
        least = self.scores[row, self.k - 1] - _TOLERANCE
        if self.scores[row, -1] < least or self.ids.shape[1] == len(self.vectors):
            return int(np.isin(found, self.ids[row, self.scores[row] >= least]).sum())
        # More tie with it than were kept.
        found = found[found >= 0]
        scores = self.vectors[found] @ self.queries[row]
        return int(((scores if self.weights is None else scores * self.weights[found]) >= least).sum())


def truths(vectors: np.ndarray, kind: IndexKind, *, weights: np.ndarray | None = None) -> tuple[Truth, Truth]:
    """Two sets of queries, to tune an index by and to judge it by, and their true neighbours.

    The queries lie between two of the (N, D) float32 unit rows, as pictures do; a keyword's own vector would
    be too easy to find. `weights`, (N,) float32, are what scores are multiplied by.
    """
    counts = (0, _FLAT_QUERIES) if kind.kind == "flat" else (_TUNING_QUERIES, _JUDGING_QUERIES)
    sets = [between(vectors, counts[0], seed=_SEED + 1), between(vectors, counts[1], seed=_SEED)]
    k = min(_K, len(vectors))
    scores, ids = exact_neighbours(np.concatenate(sets), vectors, 2 * k, weights=weights)
    tuning, judging = (
        Truth(queries=queries, scores=scores[part], ids=ids[part], k=k, vectors=vectors, weights=weights)
        for queries, part in zip(sets, (slice(counts[0]), slice(counts[0], None)), strict=True)
    )
    return tuning, judging


def tune(
    index: Any, kind: IndexKind, truth: Truth, *, target: float = TARGET_RECALL, given: bool = False
) -> IndexKind:
    """Set the least search effort that reaches `target` recall@10; returns the kind with it.

    Kinds that keep codes may score more candidates again instead of looking further; what costs less is taken
    (`_cost`). Efforts are tried from little to much, each once, until more would cost more than one that is
    known to do, or gains nothing. Where the target is out of reach, the least effort that comes near the
    best one is taken. An effort that was `given` by hand stays.
    """
    name = _EFFORT_NAMES.get(kind.kind)
    if name is None or given:
        return kind
    rescores = _rescores(kind)
    tried: list[_Trial] = []
    before = [0.0] * len(rescores)
    for effort in _efforts(kind):
        kinds = [_with(kind, name, effort, rescore) for rescore in rescores]
        costs = [_cost(made, name, truth) for made in kinds]
        if any(trial.recall >= target and trial.cost <= costs[0] for trial in tried):
            break
        set_effort(index, kind.kind, effort)
        recalls = _recalls(index, truth, rescores)
        tried += map(_Trial, costs, recalls, kinds)
        if all(now < then + _LEAST_GAIN for now, then in zip(recalls, before, strict=True)):
            break
        before = recalls
    best = _best(tried, target)
    set_effort(index, kind.kind, best.parameters[name])
    return best


def measure_recall(index: Any, kind: IndexKind, truth: Truth) -> Recall:
    """Measure recall@10 of an index as it is set, against exact search."""
    [value] = _recalls(index, truth, [kind.parameters.get("rescore", 1)])
    return Recall(
        k=truth.k,
        value=round(value, 4),
        queries=len(truth.queries),
        method=f"normalized sums of two keywords' vectors drawn with seed {_SEED}",
    )


def between(vectors: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """(count, D) float32 unit queries, each the direction between two rows."""
    pairs = np.random.default_rng(seed).integers(len(vectors), size=(count, 2))
    queries = vectors[pairs[:, 0]] + vectors[pairs[:, 1]]
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-6)
    return np.ascontiguousarray(queries, np.float32)


def exact_neighbours(
    queries: np.ndarray, vectors: np.ndarray, k: int, *, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (Q, k) float32 and ids (Q, k) int64 of the k best of each query, found chunk by chunk."""
    read_at_random(vectors, really=False)
    scores, ids = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), _CHUNK):
        rows = np.ascontiguousarray(vectors[start : start + _CHUNK], np.float32)
        if weights is not None:
            rows = rows * weights[start : start + _CHUNK, np.newaxis]
        some, places = faiss.knn(queries, rows, min(k, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, ids = np.concatenate([scores, some], axis=1), np.concatenate([ids, places + start], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, ids = np.take_along_axis(scores, best, axis=1), np.take_along_axis(ids, best, axis=1)
    return scores, ids


def _recalls(index: Any, truth: Truth, rescores: Sequence[int]) -> list[float]:
    """Recall with each number of candidates that are scored again, from one search."""
    wanted = min(truth.k * max(rescores), len(truth.vectors))
    _, ids = index.search(truth.queries, wanted)
    return [truth.recall(ids[:, : truth.k * rescore]) for rescore in rescores]


class _Trial(NamedTuple):
    """What an index found when it was set like this."""

    cost: float
    recall: float
    kind: IndexKind


def _best(tried: Sequence[_Trial], target: float) -> IndexKind:
    """The cheapest that reaches the target, else the cheapest near the best."""
    highest = max(trial.recall for trial in tried)
    floor = target if highest >= target else highest - _LEAST_GAIN
    return min((trial for trial in tried if trial.recall >= floor), key=lambda trial: trial.cost).kind


def _cost(kind: IndexKind, effort: str, truth: Truth) -> float:
    """Work of one search, in codes or vectors compared."""
    values = kind.parameters
    per_effort = len(truth.vectors) / values["lists"] if "lists" in values else 1.0
    return values[effort] * per_effort + _CODES_PER_ROW * truth.k * values.get("rescore", 0)


def _rescores(kind: IndexKind) -> list[int]:
    if "rescore" not in kind.parameters:
        return [1]
    return [kind.parameters["rescore"] * factor for factor in _RESCORES]


def _efforts(kind: IndexKind) -> list[int]:
    """From little to much. Of many lists never all: an index that must look everywhere is none."""
    if kind.kind == "hnsw":
        least, most = _LEAST_EFFORT_HNSW, _MOST_EFFORT_HNSW
    else:
        least, most = 1, min(kind.parameters["lists"], _EFFORTS[-1])
    return [effort for effort in (least * step for step in _EFFORTS) if effort < most] + [most]


def _with(kind: IndexKind, name: str, effort: int, rescore: int) -> IndexKind:
    parameters = {**kind.parameters, name: effort}
    if "rescore" in parameters:
        parameters["rescore"] = rescore
    return IndexKind(kind=kind.kind, parameters=parameters)
