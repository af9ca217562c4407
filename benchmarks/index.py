"""The keyword index against the original script's loop of cosines."""

from __future__ import annotations

import numpy as np

from benchmarks.result import Benchmark, Result, describe, timed
from index_builder.faiss_index import FaissIndex
from index_builder.kinds import choose_kind, make_index

_COUNT, _DIMENSION, _TOP = 6_808, 512, 8


def index_loop() -> Result:
    """The eight nearest of 6,808 vectors of 512 dimensions, as the server asks: one query, one core.

    Against 6,808 single cosines of NumPy arrays in a Python loop. For comparison FAISS's own exact search,
    and the loop with PyTorch's cosine: a script that encodes with PyTorch has its vectors there.
    """
    import torch

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((_COUNT, _DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[0] + np.float32(0.1)
    flat = make_index(vectors, choose_kind(_COUNT))
    words = [f"词{place}" for place in range(_COUNT)]
    index = FaissIndex(flat, words, version="v", encoder_fingerprint="f", kind="flat")

    def loop() -> list[str]:
        scores = [_cosine(query, row) for row in vectors]
        return [words[place] for place in sorted(range(_COUNT), key=lambda place: -scores[place])[:_TOP]]

    assert [keyword.text for keyword in index.nearest(query, _TOP)] == loop()
    ours = describe("index", timed(lambda: index.nearest(query, _TOP), repeat=1000, warm=50))
    describe("FAISS alone", timed(lambda: flat.search(query[np.newaxis], _TOP), repeat=300, warm=20))
    theirs = describe("Python loop, NumPy", timed(loop, repeat=10, warm=1))
    torch.set_num_threads(1)
    tensor, rows = torch.from_numpy(query)[None], torch.from_numpy(vectors)[:, None]

    def torch_loop() -> list[float]:
        return [float(torch.cosine_similarity(tensor, row)) for row in rows]

    slow = describe("Python loop, PyTorch", timed(torch_loop, repeat=5, warm=1))
    print(f"  {slow / ours:.0f} times as quick as the loop with PyTorch", flush=True)
    return Result(value=ours, unit="ms", ratio=theirs / ours, against="6,808 single cosines in Python")


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


BENCHMARKS: dict[str, Benchmark] = {"index-loop": index_loop}
