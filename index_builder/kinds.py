"""Kinds of FAISS index: which one suits a list, how it is trained, built and tuned, and what it finds."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np

KINDS = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8")
TARGET_RECALL = 0.95

# Exact search is the fastest kind up to here (faiss wiki), above the second number raw vectors crowd memory.
_FLAT_UP_TO, _WHOLE_UP_TO = 100_000, 4_000_000
_FLAT_UP_TO_CUDA = 1_000_000
_CHUNK = 65_536
# Each vector is compared with every list once: at ten million this is most of the building time.
_MOST_LISTS = 4096
_PER_LIST = 40  # vectors per list that k-means is trained on
_SEED = 0
_RECALL_K, _RECALL_QUERIES = 10, 256
_EFFORTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_RESCORES = (1, 4, 16)


@dataclass(frozen=True, kw_only=True)
class IndexKind:
    """A kind of FAISS index and its parameters, as the manifest records them.

    Attributes:
        kind: one of KINDS.
        parameters: of the kind: `lists`, `probe` (IVF), `links`, `construction`, `search` (HNSW), `pieces`,
            `bits` (PQ); `rescore`: candidates per place that are scored by their vectors again. What is
            missing is chosen by size.
    """

    kind: str
    parameters: Mapping[str, int] = field(default_factory=dict)


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


def choose_kind(count: int, *, device: str = "cpu") -> IndexKind:
    """The kind of index for `count` vectors on `cpu` or `cuda`."""
    if count <= (_FLAT_UP_TO_CUDA if device == "cuda" else _FLAT_UP_TO):
        return IndexKind(kind="flat")
    return IndexKind(kind="ivf_flat" if count <= _WHOLE_UP_TO else "ivf_pq")


def with_defaults(kind: IndexKind, count: int, dimension: int) -> IndexKind:
    """The kind with every parameter set. Raises ValueError for an unknown kind or parameter."""
    lists = max(1, min(int(4 * count**0.5), count // 40, _MOST_LISTS))
    defaults: dict[str, dict[str, int]] = {
        "flat": {},
        "hnsw": {"links": 32, "construction": 80, "search": 64},
        "ivf_flat": {"lists": lists, "probe": 16},
        "ivf_pq": {"lists": lists, "probe": 16, "pieces": _pieces(dimension), "bits": 8, "rescore": 10},
        "sq8": {"rescore": 4},
    }
    if kind.kind not in defaults:
        raise ValueError(f"unknown index kind {kind.kind!r}; choose one of {', '.join(KINDS)}")
    known = defaults[kind.kind]
    for name, value in kind.parameters.items():
        if name not in known or value < 1:
            raise ValueError(
                f"{kind.kind}: cannot set {name!r} to {value}; it takes {', '.join(known) or 'none'}"
            )
    parameters = {**known, **kind.parameters}
    if "pieces" in parameters and dimension % parameters["pieces"]:
        raise ValueError(
            f"ivf_pq: pieces must divide {dimension} dimensions, {parameters['pieces']} does not"
        )
    return IndexKind(kind=kind.kind, parameters=parameters)


def make_index(
    vectors: np.ndarray,
    kind: IndexKind,
    *,
    weights: np.ndarray | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> faiss.Index:
    """Index (N, D) float32 rows, in memory or memory-mapped, by inner product.

    Training draws its sample with a fixed seed, and rows are added in chunks, so that memory holds the
    index and no copy of the rows. `report` is called with the rows done after each chunk; an exception ends
    the work. Raises ValueError for an unknown kind.
    """
    kind = with_defaults(kind, *vectors.shape)
    index = _empty(vectors.shape[1], kind)
    if not index.is_trained:
        index.train(_sample(vectors, kind.parameters.get("lists", 1) * _PER_LIST))
    for start in range(0, len(vectors), _CHUNK):
        rows = np.ascontiguousarray(vectors[start : start + _CHUNK], np.float32)
        if weights is not None:
            rows = rows * weights[start : start + _CHUNK, np.newaxis]
        index.add(rows)
        report(start + len(rows), len(vectors))
    return index


def tune(
    index: Any, kind: IndexKind, vectors: np.ndarray, *, target: float = TARGET_RECALL, given: bool = False
) -> IndexKind:
    """Set the least search effort that reaches `target` recall@10 on some queries; returns the kind with it.

    Where the codes are what limits it, more effort gains nothing, and more candidates are scored again
    instead. Where the target is out of reach, the least effort that comes near the best one is taken. The
    queries are others than those of `measure_recall`. An effort that was `given` by hand stays.
    """
    name = {"hnsw": "search", "ivf_flat": "probe", "ivf_pq": "probe"}.get(kind.kind)
    if name is None or given:
        return kind
    queries = between(vectors, seed=_SEED + 1)
    exact = exact_scores(queries, vectors, min(_RECALL_K, len(vectors)))
    rescores = _RESCORES if "rescore" in kind.parameters else (1,)
    best, least_gain = (0.0, kind), 0.005
    for rescore in (kind.parameters.get("rescore", 1) * factor for factor in rescores):
        before = 0.0
        for effort in _efforts(kind):
            tried = _with(kind, name, effort, rescore)
            set_effort(index, kind.kind, effort)
            recall = _recall(index, tried, queries, vectors, exact)
            if recall >= target:
                return tried
            if recall > best[0] + least_gain:
                best = (recall, tried)
            if before and recall < before + least_gain:
                break
            before = recall
    set_effort(index, kind.kind, best[1].parameters[name])
    return best[1]


def _efforts(kind: IndexKind) -> list[int]:
    """From little to all there is."""
    least = 16 if kind.kind == "hnsw" else 1
    most = kind.parameters.get("lists", 1024)
    return [effort for effort in (least * step for step in _EFFORTS) if effort < most] + [most]


def _with(kind: IndexKind, name: str, effort: int, rescore: int) -> IndexKind:
    parameters = {**kind.parameters, name: effort}
    if "rescore" in parameters:
        parameters["rescore"] = rescore
    return IndexKind(kind=kind.kind, parameters=parameters)


def measure_recall(index: Any, vectors: np.ndarray, kind: IndexKind | None = None) -> Recall:
    """Measure recall@10 of an index of (N, D) float32 unit rows against exact search.

    The queries lie between keywords, as pictures do; a keyword's own vector would be too easy to find.
    """
    queries = between(vectors, seed=_SEED)
    k = min(_RECALL_K, len(vectors))
    value = _recall(
        index, kind or IndexKind(kind="flat"), queries, vectors, exact_scores(queries, vectors, k)
    )
    return Recall(
        k=k,
        value=round(value, 4),
        queries=len(queries),
        method=f"normalized sums of two keywords' vectors drawn with seed {_SEED}",
    )


def between(vectors: np.ndarray, *, seed: int) -> np.ndarray:
    """(256, D) float32 unit queries, each the direction between two rows."""
    pairs = np.random.default_rng(seed).integers(len(vectors), size=(_RECALL_QUERIES, 2))
    queries = vectors[pairs[:, 0]] + vectors[pairs[:, 1]]
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-6)
    return np.ascontiguousarray(queries, np.float32)


def exact_scores(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """(Q, k) float32: the k highest inner products of each query, found chunk by chunk."""
    read_at_random(vectors, really=False)
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(vectors), _CHUNK):
        rows = np.ascontiguousarray(vectors[start : start + _CHUNK], np.float32)
        scores, _ = faiss.knn(queries, rows, min(k, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, scores], axis=1), axis=1)[:, :k]
    return best


def read_at_random(vectors: np.ndarray, *, really: bool = True) -> None:
    """Tell the system that mapped rows are read here and there: it would read 30 pages ahead for each."""
    if isinstance(vectors.base, mmap.mmap):
        vectors.base.madvise(mmap.MADV_RANDOM if really else mmap.MADV_NORMAL)


def set_effort(index: Any, kind: str, effort: int) -> None:
    """How far a search of an approximate kind looks: lists probed, or candidates kept."""
    inner: Any = faiss.downcast_index(index)
    if kind == "hnsw":
        inner.hnsw.efSearch = effort
    elif kind in ("ivf_flat", "ivf_pq"):
        inner.nprobe = effort


def _recall(
    index: Any, kind: IndexKind, queries: np.ndarray, vectors: np.ndarray, exact: np.ndarray
) -> float:
    """Share of found neighbours that are no further than the k-th true one; exact is (Q, k)."""
    read_at_random(vectors)
    k = exact.shape[1]
    wanted = min(k * kind.parameters.get("rescore", 1), len(vectors))
    _, ids = index.search(queries, wanted)
    hits = 0
    for query, found, least in zip(queries, ids, exact[:, -1], strict=True):
        scores = vectors[found[found >= 0]] @ query
        hits += min(k, int((scores >= least - 1e-5).sum()))
    return hits / (k * len(queries))


def _empty(dimension: int, kind: IndexKind) -> Any:
    """An index of that kind without vectors."""
    values, metric = kind.parameters, faiss.METRIC_INNER_PRODUCT
    if kind.kind == "flat":
        return faiss.IndexFlatIP(dimension)
    if kind.kind == "sq8":
        return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, metric)
    if kind.kind == "hnsw":
        index: Any = faiss.IndexHNSWFlat(dimension, values["links"], metric)
        index.hnsw.efConstruction, index.hnsw.efSearch = values["construction"], values["search"]
        return index
    quantizer = faiss.IndexFlatIP(dimension)
    if kind.kind == "ivf_flat":
        index = faiss.IndexIVFFlat(quantizer, dimension, values["lists"], metric)
    else:
        index = faiss.IndexIVFPQ(
            quantizer, dimension, values["lists"], values["pieces"], values["bits"], metric
        )
    index.nprobe = min(values["probe"], values["lists"])
    index.cp.seed, index.cp.spherical = 1234 + _SEED, True
    return index


def _sample(vectors: np.ndarray, wanted: int) -> np.ndarray:
    """Rows to train on, at least 65,536 where there are so many, drawn with a fixed seed."""
    wanted = max(wanted, _CHUNK)
    if wanted >= len(vectors):
        return np.ascontiguousarray(vectors, np.float32)
    places = np.random.default_rng(_SEED).choice(len(vectors), wanted, replace=False)
    return np.ascontiguousarray(vectors[np.sort(places)], np.float32)


def _pieces(dimension: int) -> int:
    """Pieces of a product quantizer: about 8 dimensions each; only a divisor of the dimension will do."""
    return max(piece for piece in range(1, max(1, dimension // 8) + 1) if dimension % piece == 0)
