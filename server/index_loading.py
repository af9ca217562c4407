"""An index from its artifact to the state in which a request may meet it: verified, opened, warm, leased.

Everything here blocks and belongs in a thread off the serving path. A version that is loaded is leased until
its index is freed, so that garbage collection never takes the files of a version that is in use.
"""

from __future__ import annotations

import math
import weakref
from pathlib import Path

import numpy as np

from index_builder.artifact import hold, open_version
from index_builder.index import KeywordIndex
from models.bundle import CorruptArtifact

_WARM_QUERIES, _WARM_K = 8, 8


def load_version(root: Path, version: str, encoder_fingerprint: str, *, device: str = "cpu") -> KeywordIndex:
    """One version for the encoder of that fingerprint, every hash checked, searched a few times.

    `device` is `cpu` or `cuda`; small indexes stay on the CPU in any case. Raises IndexMissing,
    CorruptArtifact, EncoderMismatch, DeviceUnavailable, or OSError where the disk fails.
    """
    lease = hold(root, version)
    try:
        index = open_version(root, version, encoder_fingerprint=encoder_fingerprint, device=device)
        warm_index(index)
    except BaseException:
        lease.close()
        raise
    weakref.finalize(index, lease.close)
    return index


def warm_index(index: KeywordIndex) -> None:
    """Search as requests do: first searches map pages and allocate, and are slow.

    Raises CorruptArtifact for an index that opens and yet answers nonsense.
    """
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((_WARM_QUERIES, index.dimension)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    for query in queries:
        found = index.nearest(query, _WARM_K) + index.diverse(query, _WARM_K)
        if not found or not all(math.isfinite(keyword.score) for keyword in found):
            raise CorruptArtifact(f"index {index.version}: its scores are no numbers")
