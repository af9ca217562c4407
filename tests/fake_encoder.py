"""An encoder with the interface of `models.clip.Encoder` and no model: vectors drawn from a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


class FakeEncoder:
    """Maps any bytes or text to a unit vector: the same input always to the same one, others at random.

    A picture whose bytes are a text in UTF-8 gets the vector of that text, so that a test can say
    which keyword a "picture" shows.
    """

    def __init__(self, *, dimension: int = 16, name: str = "fake", fingerprint: str | None = None) -> None:
        self.dimension = dimension
        self.name = name
        self.fingerprint = fingerprint or hashlib.sha256(f"{name} {dimension}".encode()).hexdigest()
        self.providers = ["CPUExecutionProvider"]
        self.batches: list[int] = []

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts → (N, D) float32 unit rows."""
        self.batches.append(len(texts))
        return self.encode_pictures([text.encode() for text in texts])

    def encode_pictures(self, pictures: Sequence[bytes]) -> np.ndarray:
        """Bytes → (N, D) float32 unit rows."""
        rows = np.zeros((len(pictures), self.dimension), dtype=np.float32)
        for row, picture in zip(rows, pictures, strict=True):
            seed = int.from_bytes(hashlib.sha256(picture).digest()[:8])
            row[:] = np.random.default_rng(seed).standard_normal(self.dimension)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows
