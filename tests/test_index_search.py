"""Search on FAISS: exact search by small integers, threads, speed. What every index keeps: conformance."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import pytest

from index_builder import exact, faiss_index
from index_builder.exact import ExactSearch, row_levels
from index_builder.faiss_index import FaissIndex
from index_builder.kinds import choose_kind, make_index
from index_builder.products import candidate_session

WORDS = [f"词{number}" for number in range(500)]


def _unit_rows(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _index(vectors: np.ndarray, words: list[str]) -> FaissIndex:
    return FaissIndex(
        make_index(vectors, choose_kind(len(vectors))),
        words,
        version="20260101T000000Z-00000000",
        encoder_fingerprint="f",
        kind="flat",
    )


VECTORS = _unit_rows(len(WORDS), 32)
INDEX = _index(VECTORS, WORDS)


def _spoiled(kind: str, rows: np.ndarray) -> np.ndarray:
    """Rows that are hard to round: one large number, all alike, of many lengths, mostly zero."""
    rows = rows.copy()
    if kind == "spike":
        rows[:, 0] = 5
    elif kind == "alike":
        rows[:] = rows[0] + 1e-4 * rows
    elif kind == "lengths":
        rows *= np.logspace(-3, 3, len(rows), dtype=np.float32)[:, np.newaxis]
    elif kind == "sparse":
        rows[np.abs(rows) < 0.1] = 0
    elif kind == "zero":
        rows[::2] = 0
    return rows


@pytest.mark.parametrize("kind", ["plain", "spike", "alike", "lengths", "sparse", "zero"])
@pytest.mark.parametrize(("count", "dimension"), [(1, 1), (7, 3), (130, 16), (3000, 33), (5000, 200)])
@pytest.mark.parametrize("levels", [None, 63])
def test_the_quick_pass_loses_none_of_the_best(
    monkeypatch: pytest.MonkeyPatch, kind: str, count: int, dimension: int, levels: int | None
) -> None:
    if levels:
        monkeypatch.setattr(exact, "row_levels", lambda: levels)  # a processor without VNNI
    rows = _spoiled(kind, _unit_rows(count, dimension))
    search = ExactSearch(rows)
    for seed in range(5):
        query = _spoiled(kind, _unit_rows(2, dimension, seed=9 + seed))[seed % 2]
        for k in {1, min(8, count), min(100, count), count}:
            scores, ids = search.search(query[np.newaxis], k)
            truth = rows.astype(np.float64) @ query.astype(np.float64)
            best = np.sort(truth)[::-1][:k]
            assert ids.shape == scores.shape == (1, k)
            assert len(set(ids[0].tolist())) == k
            # What float32 sums may miss, however much of them cancels out.
            scale = max(1e-6, float(np.linalg.norm(query) * np.linalg.norm(rows, axis=1).max()))
            np.testing.assert_allclose(truth[ids[0]], best, atol=2e-6 * scale)
            np.testing.assert_allclose(scores[0], best, atol=2e-6 * scale)


def _looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows get true scores, time after time."""
    counts: list[int] = []
    highest = exact._highest

    def counting(rows: np.ndarray, *others: Any) -> Any:
        counts.append(len(rows))
        return highest(rows, *others)

    monkeypatch.setattr(exact, "_highest", counting)
    return counts


def test_few_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ExactSearch(_unit_rows(6808, 512))
    looked_at = _looked_at(monkeypatch)
    for query in _unit_rows(20, 512, seed=1):
        search.search(query[np.newaxis], 8)
    assert looked_at == [128] * 20


def test_more_rows_are_looked_at_where_the_first_do_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _unit_rows(3000, 32)
    rows[500:800] = rows[0] + 1e-3 * rows[500:800]
    search = ExactSearch(rows)
    looked_at = _looked_at(monkeypatch)
    _, ids = search.search(rows[:1], 8)
    assert looked_at == [128, 1024]
    assert ids[0].tolist() == np.argsort(-(rows @ rows[0]), kind="stable")[:8].tolist()


@pytest.mark.filterwarnings("ignore:.*encountered in vecdot")
@pytest.mark.parametrize("value", [np.float32(3e38), np.float32(1e-42)])
def test_a_query_beyond_the_numbers_is_compared_with_all_rows(
    monkeypatch: pytest.MonkeyPatch, value: np.float32
) -> None:
    search = ExactSearch(VECTORS)
    looked_at = _looked_at(monkeypatch)
    _, ids = search.search(np.full((1, 32), value), 8)
    assert looked_at[-1] == len(VECTORS)
    assert len(set(ids[0].tolist())) == 8


def test_of_equal_scores_the_smaller_id_comes_first() -> None:
    index = _index(np.repeat(VECTORS[:3], 10, axis=0), WORDS[:30])
    scores, ids = index.search(VECTORS[1:2], 12)
    assert ids[0, :10].tolist() == list(range(10, 20))
    assert (np.diff(scores[0]) <= 0).all()


def test_equal_rows_score_alike_wherever_they_stand() -> None:
    rows = _unit_rows(3000, 33)
    same = np.random.default_rng(2).choice(3000, 40, replace=False)
    rows[same] = rows[same[0]]
    scores, ids = ExactSearch(rows).search(rows[same[:1]], 40)
    assert ids[0].tolist() == sorted(same.tolist())
    assert len(set(scores[0].tolist())) == 1


def test_one_query_and_many_get_the_same() -> None:
    queries = _unit_rows(50, 32, seed=1)
    scores, ids = INDEX.search(queries, 8)
    for place in range(50):
        alone, one = INDEX.search(queries[place : place + 1], 8)
        np.testing.assert_array_equal(one[0], ids[place])
        np.testing.assert_array_equal(alone[0], scores[place])


def test_only_flat_indexes_of_some_size_get_the_quick_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ExactSearch.of(make_index(VECTORS, choose_kind(500))) is not None
    assert ExactSearch.of(faiss.IndexFlatIP(4)) is None
    assert ExactSearch.of(faiss.IndexFlatL2(4)) is None
    assert ExactSearch.of(object()) is None
    monkeypatch.setattr(exact, "_MOST_BYTES", 499 * 32)
    assert ExactSearch.of(make_index(VECTORS, choose_kind(500))) is None


@pytest.mark.parametrize("lowest", [0.0, -0.4, -1.0])
def test_estimates_are_exact_products_of_what_was_rounded(lowest: float) -> None:
    draw = np.random.default_rng(0)
    top = row_levels()
    codes = draw.integers(-top, top + 1, (300, 65)).astype(np.int8)
    codes[:3] = top
    scales = draw.uniform(0.1, 1, 300).astype(np.float32)
    query = draw.uniform(lowest, 1, (1, 65)).astype(np.float32)
    session = candidate_session(codes, scales)
    estimates, ids, rounded = session.run(None, {"q": query, "m": np.array([50])})
    assert np.abs(rounded - query).max() <= (1 - lowest) / 255
    expected = (codes * scales[:, np.newaxis]).astype(np.float64) @ rounded[0].astype(np.float64)
    np.testing.assert_allclose(estimates[0], np.sort(expected)[::-1][:50], rtol=1e-5)
    np.testing.assert_allclose(expected[ids[0]], estimates[0], rtol=1e-5)


def test_an_index_of_another_count_than_its_keywords_is_refused() -> None:
    with pytest.raises(ValueError, match="500 vectors for 3 keywords"):
        _index(VECTORS, WORDS[:3])


def test_threads_search_at_once_and_get_what_one_alone_gets() -> None:
    expected = [INDEX.nearest(vector, 5) for vector in VECTORS[:100]]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: INDEX.nearest(VECTORS[place % 100], 5), range(400)))
    assert found == expected * 4


def test_a_search_leaves_no_team_of_threads_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "_FEW_ESTIMATES", 0)

    def threads_after_search() -> int:
        INDEX.search(VECTORS[:3], 1)
        return int(faiss.omp_get_max_threads())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(threads_after_search).result() == 1


def test_one_query_among_seven_thousand_takes_a_fraction_of_a_millisecond() -> None:
    vectors = _unit_rows(6808, 512)
    index = _index(vectors, [str(number) for number in range(6808)])
    times = []
    for query in vectors[:300]:
        started = time.perf_counter()
        index.nearest(query, 8)
        times.append(time.perf_counter() - started)
    assert sorted(times)[30] < 1e-3  # 0.1 ms on an idle core; the bound is for busy machines
