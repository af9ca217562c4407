"""Kinds of FAISS index: which one suits a list, and how it is trained and built. What it finds: `recall`."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np

KINDS = ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8")

# Exact search is the fastest kind up to here (faiss wiki), above the second number raw vectors crowd memory.
_FLAT_UP_TO, _WHOLE_UP_TO = 100_000, 4_000_000
_FLAT_UP_TO_CUDA = 1_000_000
_CHUNK = 65_536
# Each vector is compared with every list once: at ten million this is most of the building time.
_MOST_LISTS = 4096
_PER_LIST = 40  # vectors per list that k-means is trained on
_SEED = 0


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
