"""What every KeywordIndex keeps, on FAISS in each way it can be searched, and on Milvus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact
from index_builder.build import EmbeddingOptions, IndexKind, build_version
from index_builder.device import Device
from index_builder.index import InvalidVector, KeywordIndex
from index_builder.keywords import KeywordList
from index_builder.milvus import MilvusIndex
from index_builder.milvus_cluster import Cluster
from index_builder.milvus_upload import switch, upload

ENCODER = FakeEncoder(dimension=32)
WORDS = tuple(f"词{chr(0x4E00 + number)}" for number in range(300))
VECTORS = ENCODER.encode_texts(WORDS)
WAYS = ("memory", "mapped", "device", "milvus")

Opener = Callable[[Path, str], KeywordIndex]


@pytest.fixture(scope="module", params=WAYS)
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens a version in one of the ways."""

    def in_milvus(root: Path, version: str) -> KeywordIndex:
        cluster = Cluster(uri=str(root / "milvus.db"))
        switch(cluster, upload(root, version, cluster))
        return MilvusIndex.open(cluster, encoder_fingerprint=ENCODER.fingerprint)

    if request.param == "milvus":
        pytest.importorskip("milvus_lite")
        return in_milvus
    if request.param == "device":
        # What a GPU index is to the code: something that one thread owns.
        device = Device(name="cuda", move=lambda index: index, least_count=0)
        return lambda root, version: artifact.open_version(root, version, device=device)
    return lambda root, version: artifact.open_version(root, version, mmap=request.param == "mapped")


@pytest.fixture(scope="module")
def index(opener: Opener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeywordIndex]:
    root = tmp_path_factory.mktemp("index")
    opened = opener(root, build(root))
    yield opened
    opened.close()
    opened.close()


def build(root: Path, *, weights: tuple[float, ...] = (), correction: float = 0.0) -> str:
    words = KeywordList(words=WORDS, dropped={}, source="list", sha256="", weights=weights)
    options = EmbeddingOptions(correction=correction)
    return build_version(
        words, ENCODER, root=root, kind=IndexKind(kind="flat"), embedding=options, use_cache=False
    )


def unit_rows(count: int, seed: int = 1) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_it_says_what_it_is(index: KeywordIndex) -> None:
    assert (index.count, index.dimension, index.kind) == (300, 32, "flat")
    assert index.encoder_fingerprint == ENCODER.fingerprint
    assert len(index.version) == len("20260101T000000Z-00000000")


@pytest.mark.parametrize("queries", [1, 3, 40])
def test_search_agrees_with_a_plain_matrix_product(index: KeywordIndex, queries: int) -> None:
    asked = unit_rows(queries)
    scores, ids = index.search(asked, 10)
    truth = asked @ VECTORS.T
    assert (scores.dtype.name, ids.dtype.name) == ("float32", "int64")
    np.testing.assert_array_equal(ids, np.argsort(-truth, axis=1)[:, :10])
    np.testing.assert_allclose(scores, np.take_along_axis(truth, ids, axis=1), atol=1e-6)


def test_nearest_names_the_keywords_best_first(index: KeywordIndex) -> None:
    for place in (0, 7, 299):
        found = index.nearest(VECTORS[place], 3)
        assert found[0].text == WORDS[place]
        assert found[0].score == pytest.approx(1, abs=1e-5)
        assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)


@pytest.mark.parametrize("k", [300, 301, 10_000])
def test_more_neighbours_than_there_are_means_all(index: KeywordIndex, k: int) -> None:
    scores, ids = index.search(VECTORS[:1], k)
    assert scores.shape == ids.shape == (1, 300)
    assert sorted(ids[0]) == list(range(300))
    assert len(index.nearest(VECTORS[0], k)) == 300


def test_no_query_gives_no_rows_and_layout_does_not_matter(index: KeywordIndex) -> None:
    assert index.search(np.empty((0, 32), np.float32), 4)[1].shape == (0, 4)
    spread = np.asfortranarray(VECTORS[:9:2])
    np.testing.assert_array_equal(index.search(spread, 1)[1][:, 0], [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (VECTORS[:1].astype(np.float64), "float32"),
        (VECTORS[:1].astype(np.int8), "float32"),
        (VECTORS[0], "shape"),
        (VECTORS[:1, :31], "shape"),
        (VECTORS[np.newaxis, :1], "shape"),
        (np.full((1, 32), np.nan, np.float32), "finite"),
        (np.full((1, 32), np.inf, np.float32), "finite"),
    ],
)
def test_a_query_that_is_no_float32_matrix_is_refused(
    index: KeywordIndex, vectors: np.ndarray, message: str
) -> None:
    with pytest.raises(InvalidVector, match=message):
        index.search(vectors, 1)


def test_k_below_one_is_refused(index: KeywordIndex) -> None:
    for act in (index.nearest, index.diverse):
        with pytest.raises(ValueError, match="at least 1"):
            act(VECTORS[0], 0)


def test_words_and_vectors_come_in_the_order_of_their_ids(index: KeywordIndex) -> None:
    ids = [299, 3, 7, 0]
    assert index.words(ids) == [WORDS[place] for place in ids]
    np.testing.assert_allclose(index.vectors(ids), VECTORS[ids], atol=1e-6)


def test_diverse_keywords_begin_with_the_nearest_and_differ(index: KeywordIndex) -> None:
    query = unit_rows(1)[0]
    nearest = [item.text for item in index.nearest(query, 32)]
    found = [item.text for item in index.diverse(query, 8)]
    assert found[0] == nearest[0]
    assert len(set(found)) == 8
    assert set(found) <= set(nearest)
    assert [item.text for item in index.diverse(query, 8, diversity=0)] == nearest[:8]


def test_threads_search_at_once_and_get_what_one_alone_gets(index: KeywordIndex) -> None:
    expected = [index.nearest(vector, 5) for vector in VECTORS[:20]]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: index.nearest(VECTORS[place % 20], 5), range(80)))
    for one, other in zip(found, expected * 4, strict=True):
        assert [item.text for item in one] == [item.text for item in other]
        np.testing.assert_allclose([i.score for i in one], [i.score for i in other], atol=1e-6)


def test_weights_and_correction_reach_the_scores(opener: Opener, tmp_path: Path) -> None:
    weights = tuple(1.0 + place % 3 for place in range(300))
    opened = opener(tmp_path, build(tmp_path, weights=weights, correction=0.5))
    query = unit_rows(1)[0]
    shifted = query - 0.5 * VECTORS.mean(axis=0)
    truth = (VECTORS @ shifted) * np.array(weights, np.float32)
    scores, ids = opened.search(query[np.newaxis], 10)
    np.testing.assert_array_equal(ids[0], np.argsort(-truth)[:10])
    np.testing.assert_allclose(scores[0], truth[ids[0]], atol=1e-5)
    np.testing.assert_allclose(opened.vectors([5, 4]), VECTORS[[5, 4]], atol=1e-6)
    opened.close()
