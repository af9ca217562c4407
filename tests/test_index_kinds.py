"""Kinds of index: what is chosen, and how each is mapped and searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact
from index_builder.faiss_index import FaissIndex
from index_builder.kinds import (
    KINDS,
    IndexKind,
    choose_kind,
    make_index,
    set_effort,
    with_defaults,
)


def clustered(count: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    """(N, D) float32 unit rows around fifty centres."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((50, dimension))
    rows = centres[draw.integers(50, size=count)] + 0.5 * draw.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


VECTORS = clustered(3000)


@pytest.mark.parametrize(
    ("count", "device", "kind"),
    [
        (1, "cpu", "flat"),
        (100_000, "cpu", "flat"),
        (100_001, "cpu", "ivf_flat"),
        (1_000_000, "cpu", "ivf_flat"),
        (10_000_000, "cpu", "ivf_pq"),
        (1_000_000, "cuda", "flat"),
        (2_000_000, "cuda", "ivf_flat"),
    ],
)
def test_the_kind_follows_size_and_device(count: int, device: str, kind: str) -> None:
    assert choose_kind(count, device=device).kind == kind


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("cube", {}, "unknown index kind"),
        ("flat", {"lists": 3}, "takes none"),
        ("hnsw", {"lists": 3}, "links, construction, search"),
        ("ivf_flat", {"lists": 0}, "cannot set 'lists' to 0"),
        ("ivf_pq", {"pieces": 7}, "must divide"),
    ],
)
def test_what_cannot_be_built_is_refused(kind: str, parameters: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_index(VECTORS, IndexKind(kind=kind, parameters=parameters))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mmap", [False, True])
def test_an_index_answers_from_the_disk_as_from_memory(tmp_path: Path, kind: str, mmap: bool) -> None:
    encoder = FakeEncoder(dimension=32)
    chosen = with_defaults(IndexKind(kind=kind), *VECTORS.shape)
    index = make_index(VECTORS, chosen)
    set_effort(index, kind, 1000)
    version = artifact.write_version(
        tmp_path,
        keywords=[f"词{place}" for place in range(len(VECTORS))],
        vectors=VECTORS,
        index=index,
        facts={
            "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint},
            "index": {"kind": kind, "parameters": dict(chosen.parameters)},
        },
    )
    opened = artifact.open_version(tmp_path, version, mmap=mmap)
    truth = VECTORS[:40] @ VECTORS.T
    scores, ids = opened.search(VECTORS[:40], 5)
    # Each is its own nearest, and the scores are the true ones: kinds with codes look at the vectors again.
    np.testing.assert_array_equal(ids[:, 0], range(40))
    np.testing.assert_allclose(scores, np.take_along_axis(truth, ids, axis=1), atol=1e-5)
    for place in range(5):
        alone, one = opened.search(VECTORS[place : place + 1], 5)
        np.testing.assert_array_equal(one[0], ids[place])
        np.testing.assert_allclose(alone[0], scores[place], atol=1e-6)
    np.testing.assert_array_equal(opened.vectors([7, 3]), VECTORS[[7, 3]])
    assert len({keyword.text for keyword in opened.diverse(VECTORS[0], 8)}) == 8


def test_an_unfilled_place_of_an_approximate_index_is_left_out() -> None:
    kind = IndexKind(kind="ivf_flat", parameters={"lists": 16, "probe": 1})
    index = FaissIndex(
        make_index(VECTORS, kind),
        [f"词{place}" for place in range(len(VECTORS))],
        version="v",
        encoder_fingerprint="f",
        kind=kind,
        rows=VECTORS,
    )
    found = index.nearest(VECTORS[3], 3000)  # one list of sixteen is looked at
    assert found[0].text == "词3"
    assert len(found) < 3000
    assert len(index.diverse(VECTORS[3], 1000)) < 1000
