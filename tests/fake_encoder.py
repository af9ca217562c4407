"""An encoder with the interface of `models.clip.Encoder` and no model: vectors drawn from a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def vector_of(data: bytes, dimension: int) -> np.ndarray:
    """A unit vector that depends on nothing but the bytes."""
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


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
        rows = [vector_of(picture, self.dimension) for picture in pictures]
        return np.stack(rows) if rows else np.empty((0, self.dimension), dtype=np.float32)
