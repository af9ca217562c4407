"""From a clean keyword list to a new index version: embed, index, measure, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np

from index_builder.artifact import write_version
from index_builder.keywords import KeywordList

DEFAULT_BATCH = 256

_RECALL_K, _RECALL_QUERIES, _RECALL_SEED = 10, 256, 0


class InvalidEmbedding(Exception):
    """The encoder gave something else than finite float32 rows of length one."""


class TextEncoder(Protocol):
    """What a build needs of `models.clip.Encoder`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class IndexKind:
    """A kind of FAISS index and its parameters, as the manifest records them."""

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


def build_version(
    words: KeywordList,
    encoder: TextEncoder,
    *,
    root: Path,
    batch: int = DEFAULT_BATCH,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Build an index version under `root`, unpublished, and return its name.

    `batch` and `report` are those of `embed`. The same list, encoder and batch give the same files;
    only the manifest's time differs. Raises InvalidEmbedding, OSError.
    """
    vectors = embed(words.words, encoder, batch=batch, report=report)
    kind = choose_kind(len(vectors))
    index = make_index(vectors, kind)
    facts = {
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "embedding": {"batch": batch},
        "index": asdict(kind),
        "recall": asdict(measure_recall(index, vectors)),
        "source": {"name": words.source, "sha256": words.sha256},
        "dropped": dict(words.dropped),
    }
    return write_version(root, keywords=words.words, vectors=vectors, index=index, facts=facts)


def embed(
    words: Sequence[str],
    encoder: TextEncoder,
    *,
    batch: int = DEFAULT_BATCH,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Words → (N, D) float32 unit rows, C-contiguous.

    Args:
        batch: words per call of the encoder.
        report: called with the words done and their total after each batch; an exception ends the build.

    Raises InvalidEmbedding.
    """
    vectors = np.empty((len(words), encoder.dimension), dtype=np.float32)
    for start in range(0, len(words), batch):
        chunk = words[start : start + batch]
        vectors[start : start + len(chunk)] = _checked(encoder.encode_texts(chunk), chunk, encoder.dimension)
        report(start + len(chunk), len(words))
    return vectors


def choose_kind(count: int) -> IndexKind:
    """The kind of index for `count` vectors: exact, which up to about 100,000 is also the fastest."""
    return IndexKind(kind="flat")


def make_index(vectors: np.ndarray, kind: IndexKind) -> faiss.Index:
    """Index (N, D) float32 rows by inner product. Raises ValueError for an unknown kind."""
    if kind.kind != "flat":
        raise ValueError(f"unknown index kind {kind.kind!r}")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def measure_recall(index: faiss.Index, vectors: np.ndarray) -> Recall:
    """Measure recall@10 of an index of (N, D) float32 unit rows against exact search.

    The queries lie between keywords, as pictures do; a keyword's own vector would be too easy to find.
    """
    generator = np.random.default_rng(_RECALL_SEED)
    pairs = generator.integers(len(vectors), size=(_RECALL_QUERIES, 2))
    queries = vectors[pairs[:, 0]] + vectors[pairs[:, 1]]
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-6)
    k = min(_RECALL_K, len(vectors))
    exact, _ = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    _, ids = index.search(queries, k)
    scores = np.einsum("qd,qkd->qk", queries, vectors[ids])
    hits = (ids >= 0) & (scores >= exact[:, -1:] - 1e-5)
    return Recall(
        k=k,
        value=round(float(hits.mean()), 4),
        queries=len(queries),
        method=f"normalized sums of two keywords' vectors drawn with seed {_RECALL_SEED}",
    )


def _checked(rows: np.ndarray, words: Sequence[str], dimension: int) -> np.ndarray:
    """The rows of one batch as they are. Raises InvalidEmbedding."""
    if rows.shape != (len(words), dimension) or rows.dtype != np.float32:
        raise InvalidEmbedding(
            f"{len(words)} words gave {rows.dtype} {rows.shape}, not float32 {(len(words), dimension)}"
        )
    lengths = np.linalg.norm(rows, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # written so that NaN is wrong too
    if wrong.size:
        raise InvalidEmbedding(f"the vector of {words[wrong[0]]!r} has length {lengths[wrong[0]]}, not 1")
    return rows
