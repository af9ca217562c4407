"""What Chinese-CLIP at full size (ViT-B/16, random weights) loses in int8 and in fp16."""

from __future__ import annotations

import numpy as np

from benchmarks.clip import VOCABULARY, bundle, source
from benchmarks.result import Benchmark, Result
from models.bundle import open_bundle
from models.session import open_session

_KEYWORDS = 6_800
_QUERIES = 100
_TEXTS_AT_ONCE = 128
_LEAST_OVERLAP = 0.9
_LEAST_COSINE = 0.9995


def overlap() -> Result:
    """How many of the best 8 of 6,800 random keywords of four tokens int8 and fp32 have in common: for 100
    texts, each a keyword and two tokens more, and for 100 pictures."""
    import torch

    from models.training.chinese_clip import parity

    rng = np.random.default_rng(0)
    keywords = rng.integers(5, VOCABULARY, (_KEYWORDS, 4))
    more = rng.integers(5, VOCABULARY, (_QUERIES, 2))
    texts = np.concatenate([keywords[:_QUERIES], more], axis=1)
    pictures = parity.random_pictures(source().model, _QUERIES, torch.Generator().manual_seed(5))
    sides = []
    for precision in ("int8", "fp32"):
        images = _pictures(precision, pictures["pixels"].numpy())
        sides.append((_texts(precision, keywords), _texts(precision, texts), images))
    (ours, *mine), (theirs, *others) = sides
    shares = {}
    for name, own, other in zip(("texts", "pictures"), mine, others, strict=True):
        shares[name] = parity.overlap(ours, theirs, (own, other))
        print(f"  {name}: {shares[name]:.4f} in common, least cosine {(own * other).sum(1).min():.5f}")
    least = min(shares.values())
    return Result(
        value=100 * least, unit="%", ratio=least / _LEAST_OVERLAP, against=f"at least {_LEAST_OVERLAP:.0%}"
    )


def _texts(precision: str, rows: np.ndarray) -> np.ndarray:
    session = open_session(bundle(precision) / "text.onnx")
    parts = np.array_split(rows, -(-len(rows) // _TEXTS_AT_ONCE))
    found = [session.run(None, {"ids": part, "mask": np.ones_like(part)})[0] for part in parts]
    return np.concatenate(found)


def _pictures(precision: str, pixels: np.ndarray) -> np.ndarray:
    session = open_session(bundle(precision) / "image.onnx")
    return np.concatenate([session.run(None, {"pixels": one[None]})[0] for one in pixels])


def half() -> Result:
    """Least cosine between fp16 and PyTorch's fp32, both towers, in batches of 1, 3 and 16."""
    figures = open_bundle(bundle("fp16"), kind="encoder").manifest["parity"]
    least = min(found["cosine"] for found in figures.values())
    allowed = 1 - _LEAST_COSINE
    return Result(
        value=least,
        unit="cosine",
        ratio=allowed / max(1 - least, 1e-7),
        against=f"the distance at a cosine of {_LEAST_COSINE}",
    )


BENCHMARKS: dict[str, Benchmark] = {"clip-overlap": overlap, "clip-fp16": half}
