"""From a clean keyword list to a new index version: embed, index, measure, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from index_builder.artifact import write_version
from index_builder.cache import EmbeddingCache
from index_builder.embedding import (
    DEFAULT_BATCH,
    PLAIN,
    BuildStopped,
    Embedder,
    Encode,
    InvalidEmbedding,
    TextEncoder,
)
from index_builder.keywords import KeywordList
from index_builder.kinds import IndexKind, choose_kind, make_index, with_defaults
from index_builder.recall import measure_recall, truths, tune
from index_builder.workspace import work_folder

__all__ = [
    "DEFAULT_BATCH",
    "BuildStopped",
    "EmbeddingOptions",
    "IndexKind",
    "InvalidEmbedding",
    "TextEncoder",
    "build_version",
]

_MAP_FROM_BYTES = 2**30
_SAMPLE_OF_MEAN = 65_536


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """How words become vectors.

    Attributes:
        templates: each holds {} once, where the word goes; the vectors of several are averaged.
        correction: share of a keyword's mean similarity that is taken off its score, from 0 to 1.
        reference: (D,) float32, the mean vector of typical pictures, for the correction; the mean of the
            keywords where it is missing.

    Raises ValueError for other values.
    """

    templates: tuple[str, ...] = (PLAIN,)
    correction: float = 0.0
    reference: np.ndarray | None = None

    def __post_init__(self) -> None:
        for template in self.templates:
            if template.count(PLAIN) != 1 or "\n" in template:
                raise ValueError(f"a template must hold {{}} once, not {template!r}")
        if not self.templates or len(set(self.templates)) < len(self.templates):
            raise ValueError("templates must be different, and at least one")
        if not 0 <= self.correction <= 1:
            raise ValueError(f"correction must be from 0 to 1, not {self.correction}")


def build_version(
    words: KeywordList,
    encoder: TextEncoder,
    *,
    root: Path,
    batch: int = DEFAULT_BATCH,
    kind: IndexKind | None = None,
    embedding: EmbeddingOptions | None = None,
    use_cache: bool = True,
    encode: Encode | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> str:
    """Build an index version under `root`, unpublished, and return its name.

    Args:
        batch: words per call of the encoder; multiples of 16 round every word alike with most encoders.
        kind: of the index; chosen by size where it is missing, as are missing parameters.
        embedding: how words become vectors; the words as they are where it is missing.
        use_cache: take vectors from earlier builds under `root`, and keep new ones for later ones.
        encode: encodes in other processes (`embedding_processes.spread`); `encoder` does where it is missing.
        report: called with the words embedded and their total after each batch.
        stopped: asked between batches and steps; when it says True the build ends with BuildStopped.

    The same list, encoder and options give the same files, with a cache or without; only the manifest's
    time and parent differ. (HNSW is built by all cores, and its graph depends on their order.) Raises
    InvalidEmbedding, BuildStopped, ValueError for an impossible kind, OSError.
    """
    embedding = embedding or EmbeddingOptions()
    asked = kind or choose_kind(len(words.words))
    chosen = with_defaults(asked, len(words.words), encoder.dimension)
    check = _checker(stopped)
    weights = np.array(words.weights, np.float32) if words.weights else None
    with (
        _rows(root, len(words.words), encoder.dimension) as (rows, file),
        _cache(root, encoder, use_cache) as cache,
    ):
        embedder = Embedder(encoder, cache=cache, batch=batch, encode=encode)
        _embed(words.words, embedder, embedding.templates, rows, report=report, check=check)
        index = make_index(rows, chosen, weights=weights, report=check)
        tuning, judging = truths(rows, chosen, weights=weights)
        made = tune(index, chosen, tuning, given=bool({"probe", "search"} & set(asked.parameters)))
        check()
        facts = {
            "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
            "embedding": {"batch": embedder.batch, "repeats": embedder.repeats, **_described(embedding)},
            "index": asdict(made),
            "recall": asdict(measure_recall(index, made, judging)),
            "source": {"name": words.source, "sha256": words.sha256},
            "dropped": dict(words.dropped),
        }
        check()
        return write_version(
            root,
            keywords=words.words,
            vectors=rows if file is None else file,
            index=index,
            facts=facts,
            weights=weights,
            shift=_shift(rows, embedding),
        )


def _embed(
    words: Sequence[str],
    embedder: Embedder,
    templates: Sequence[str],
    rows: np.ndarray,
    *,
    report: Callable[[int, int], None],
    check: Callable[..., None],
) -> None:
    """Fill `rows` with the direction of the mean over the templates."""

    def progress(before: int, done: int) -> None:
        check()
        report((before + done) // len(templates), len(words))

    if len(templates) == 1:
        embedder.embed(words, rows, template=templates[0], report=partial(progress, 0))
        return
    total, one = np.zeros_like(rows), np.empty_like(rows)
    for place, template in enumerate(templates):
        embedder.embed(words, one, template=template, report=partial(progress, place * len(words)))
        total += one
    np.divide(total, np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6), out=rows)


def _shift(rows: np.ndarray, embedding: EmbeddingOptions) -> np.ndarray | None:
    """What is taken off each query: the mean similarity of w is m·w, so that q·w - c m·w = (q - c m)·w."""
    if not embedding.correction:
        return None
    mean = embedding.reference
    if mean is None:
        mean = rows[:: max(1, len(rows) // _SAMPLE_OF_MEAN)].mean(axis=0, dtype=np.float64)
    return np.asarray(embedding.correction * mean, np.float32)


def _described(embedding: EmbeddingOptions) -> dict[str, Any]:
    facts: dict[str, Any] = {"templates": list(embedding.templates), "correction": embedding.correction}
    if embedding.correction:
        facts["reference"] = "keywords" if embedding.reference is None else "pictures"
    return facts


def _checker(stopped: Callable[[], bool]) -> Callable[..., None]:
    def check(*_: object) -> None:
        if stopped():
            raise BuildStopped("the build was stopped; what was embedded is kept for the next one")

    return check


@contextmanager
def _rows(root: Path, count: int, dimension: int) -> Iterator[tuple[np.ndarray, Path | None]]:
    """Room for the vectors: in memory, or where that is much, in a file."""
    if 4 * count * dimension < _MAP_FROM_BYTES:
        yield np.empty((count, dimension), np.float32), None
        return
    with work_folder(root / "versions") as work:
        file = work / "vectors.npy"
        yield np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, dimension)), file


@contextmanager
def _cache(root: Path, encoder: TextEncoder, wanted: bool) -> Iterator[EmbeddingCache | None]:
    if not wanted:
        yield None
        return
    with closing(EmbeddingCache.of(root, encoder.fingerprint, encoder.dimension)) as cache:
        yield cache
