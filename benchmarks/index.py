"""The keyword index against the original script's loop of cosines."""

from __future__ import annotations

import numpy as np

from benchmarks.result import Benchmark, Result, describe, timed
from index_builder.faiss_index import FaissIndex
from index_builder.kinds import choose_kind, make_index

_COUNT, _DIMENSION, _TOP = 6_808, 512, 8


def index_loop() -> Result:
    """The eight nearest of 6,808 vectors of 512 dimensions, as the server asks: one query, one core.

    Against 6,808 single cosines of PyTorch tensors in a Python loop: the original encodes with eager PyTorch,
    so that its vectors are there (`best-of-50` compares with the same loop). Beside it the loop over NumPy
    arrays, and FAISS's own exact search.
    """
    import torch

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((_COUNT, _DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[0] + np.float32(0.1)
    flat = make_index(vectors, choose_kind(_COUNT))
    words = [f"词{place}" for place in range(_COUNT)]
    index = FaissIndex(flat, words, version="v", encoder_fingerprint="f", kind="flat")
    torch.set_num_threads(1)
    tensor, rows = torch.from_numpy(query)[None], torch.from_numpy(vectors)

    def with_torch() -> list[str]:
        with torch.inference_mode():
            return _best(words, [float(torch.cosine_similarity(tensor, row[None])) for row in rows])

    def with_numpy() -> list[str]:
        return _best(words, [_cosine(query, row) for row in vectors])

    assert [keyword.text for keyword in index.nearest(query, _TOP)] == with_torch() == with_numpy()
    ours = describe("index", timed(lambda: index.nearest(query, _TOP), repeat=1000, warm=50))
    describe("FAISS alone", timed(lambda: flat.search(query[np.newaxis], _TOP), repeat=300, warm=20))
    theirs = describe("Python loop, PyTorch", timed(with_torch, repeat=10, warm=1))
    quicker = describe("Python loop, NumPy", timed(with_numpy, repeat=10, warm=1))
    print(f"  {quicker / ours:.0f} times as quick as the loop with NumPy", flush=True)
    return Result(
        value=ours,
        unit="ms",
        ratio=theirs / ours,
        against="6,808 cosines of PyTorch tensors, one by one",
    )


def _best(words: list[str], scores: list[float]) -> list[str]:
    return [words[place] for place in sorted(range(len(words)), key=lambda place: -scores[place])[:_TOP]]


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


BENCHMARKS: dict[str, Benchmark] = {"index-loop": index_loop}
