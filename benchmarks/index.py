"""The keyword index against the original script's loop of cosines."""

from __future__ import annotations

import numpy as np

from benchmarks.result import Benchmark, Result, describe, timed
from index_builder.build import choose_kind, make_index

_COUNT, _DIMENSION, _TOP = 6_808, 512, 8


def index_loop() -> Result:
    """The eight nearest of 6,808 vectors of 512 dimensions: FAISS against one cosine at a time in Python."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((_COUNT, _DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[:1] + 0.1
    index = make_index(vectors, choose_kind(_COUNT))

    def loop() -> list[int]:
        norm = np.linalg.norm(query[0])
        scores = [float(query[0] @ row / (norm * np.linalg.norm(row))) for row in vectors]
        return sorted(range(_COUNT), key=lambda place: -scores[place])[:_TOP]

    assert index.search(query, _TOP)[1][0].tolist() == loop()
    ours = describe("FAISS", timed(lambda: index.search(query, _TOP), repeat=500))
    theirs = describe("Python loop", timed(loop, repeat=5, warm=1))
    return Result(value=ours, unit="ms", ratio=theirs / ours, against="one cosine at a time in Python")


BENCHMARKS: dict[str, Benchmark] = {"index-loop": index_loop}
