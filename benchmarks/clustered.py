"""Vectors that lie together as embeddings do: seeded, and made in chunks that memory can hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

DIMENSION = 512

_CENTRES, _INNER = 1_000, 32
_CHUNK = 65_536
_AROUND, _NOISE = 0.9, 0.15


class Clustered:
    """Unit rows of 512 dimensions around 1,000 centres: they vary along 32 directions, a little along all.

    Two rows of one centre have a cosine of about 0.55, of two centres about 0.
    """

    def __init__(self, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        centres = draw.standard_normal((_CENTRES, DIMENSION), dtype=np.float32)
        self._centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        directions = draw.standard_normal((_INNER, DIMENSION), dtype=np.float32)
        self._directions = directions * np.float32(_AROUND / (_INNER * DIMENSION) ** 0.5)
        self._seed = seed

    def rows(self, count: int, *, part: int = 0) -> np.ndarray:
        """(N, 512) float32 of one part; another part gives other rows of the same distribution."""
        draw = np.random.default_rng([self._seed, part])
        rows = self._centres[draw.integers(_CENTRES, size=count)]
        rows += draw.standard_normal((count, _INNER), dtype=np.float32) @ self._directions
        noise = draw.random((count, DIMENSION), dtype=np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(_NOISE * (12 / DIMENSION) ** 0.5)
        rows += noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def chunks(self, count: int) -> Iterator[np.ndarray]:
        """`count` rows, some at a time."""
        for part, start in enumerate(range(0, count, _CHUNK), 1):
            yield self.rows(min(_CHUNK, count - start), part=part)

    def queries(self, count: int) -> np.ndarray:
        """(N, 512) float32 rows that no `chunks` hold."""
        return self.rows(count)

    def write(self, path: Path, count: int) -> np.ndarray:
        """Write `count` rows into a `.npy` file and map it."""
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, DIMENSION)}
            np.lib.format.write_array_header_1_0(file, header)
            for rows in self.chunks(count):
                rows.tofile(file)
        return np.load(path, mmap_mode="r")
