"""What an index finds: measured against exact search, and tuned until it is enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact, recall
from index_builder.build import build_version
from index_builder.keywords import KeywordList
from index_builder.kinds import KINDS, IndexKind, choose_kind, make_index, with_defaults
from index_builder.recall import between, exact_neighbours, measure_recall, truths, tune
from test_index_kinds import VECTORS, clustered

PLAIN = IndexKind(kind="flat")


class Backwards:
    """Exact search that of equal scores gives the last ids."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ self._vectors.T
        last = len(self._vectors) - 1
        ids = last - np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, ids, axis=1), ids


def tuned(kind: IndexKind, *, target: float = 0.95) -> tuple[object, IndexKind]:
    index = make_index(VECTORS, kind)
    return index, tune(index, kind, truths(VECTORS, kind)[0], target=target)


def judged(index: object, kind: IndexKind, vectors: np.ndarray = VECTORS) -> float:
    return measure_recall(index, kind, truths(vectors, IndexKind(kind="hnsw"))[1]).value


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reaches_its_target(kind: str) -> None:
    chosen = with_defaults(IndexKind(kind=kind), *VECTORS.shape)
    index, made = tuned(chosen)
    assert judged(index, made) >= 0.93
    assert set(made.parameters) == set(chosen.parameters)


def test_tuning_takes_the_least_effort_and_leaves_a_given_one() -> None:
    chosen = with_defaults(IndexKind(kind="ivf_flat", parameters={"lists": 64}), *VECTORS.shape)
    efforts = [tuned(chosen, target=target)[1].parameters["probe"] for target in (0.1, 0.9, 1.0)]
    assert efforts[0] == 1
    assert efforts == sorted(efforts)
    assert efforts[2] > efforts[0]
    truth = truths(VECTORS, chosen)[0]
    assert tune(make_index(VECTORS, chosen), chosen, truth, given=True) == chosen


def test_it_is_judged_by_other_queries_than_it_is_tuned_by() -> None:
    tuning, judging = truths(VECTORS, IndexKind(kind="ivf_flat"))
    assert (len(tuning.queries), len(judging.queries)) == (128, 256)
    assert not {row.tobytes() for row in tuning.queries} & {row.tobytes() for row in judging.queries}


def test_recall_counts_what_an_index_misses() -> None:
    vectors = FakeEncoder().encode_texts([f"词{number}" for number in range(400)])
    assert judged(make_index(vectors, choose_kind(400)), PLAIN, vectors) == 1.0
    poor = make_index(np.ascontiguousarray(vectors[:200]), choose_kind(200))  # knows the first half only
    assert 0.3 < judged(poor, PLAIN, vectors) < 0.7


def test_keywords_that_tie_do_not_lower_recall() -> None:
    vectors = np.repeat(FakeEncoder().encode_texts(["山", "水", "月"]), 20, axis=0)
    assert judged(make_index(vectors, choose_kind(60)), PLAIN, vectors) == 1.0
    assert judged(Backwards(vectors), PLAIN, vectors) == 1.0


def test_recall_with_weights_is_that_of_weighted_scores(tmp_path: Path) -> None:
    words = tuple(f"词{chr(0x4E00 + place)}" for place in range(300))
    weights = tuple(1.0 + place % 3 for place in range(300))
    source = KeywordList(words=words, dropped={}, source="", sha256="", weights=weights)
    version = build_version(source, FakeEncoder(dimension=32), root=tmp_path)
    assert artifact.read_version(tmp_path, version)["recall"]["value"] == 1.0
    artifact.publish(tmp_path, version)


def test_exact_neighbours_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = clustered(20, seed=1)
    whole = exact_neighbours(queries, VECTORS, 10)
    np.testing.assert_array_equal(whole[1], np.argsort(-queries @ VECTORS.T, axis=1)[:, :10])
    monkeypatch.setattr(recall, "_CHUNK", 7)
    scores, ids = exact_neighbours(queries, VECTORS, 10)
    np.testing.assert_allclose(scores, whole[0], atol=1e-6)
    np.testing.assert_array_equal(ids, whole[1])


def test_tuning_scores_more_candidates_again_where_codes_are_coarse() -> None:
    coarse = IndexKind(kind="ivf_pq", parameters={"lists": 8, "pieces": 2, "bits": 4, "rescore": 2})
    index, made = tuned(coarse, target=0.9)
    assert made.parameters["rescore"] in (8, 32)
    assert judged(index, made) > judged(index, coarse)


def test_tuning_for_what_cannot_be_reached_does_not_look_everywhere() -> None:
    coarse = IndexKind(kind="ivf_pq", parameters={"lists": 64, "pieces": 1, "bits": 2, "rescore": 1})
    index, made = tuned(coarse)
    assert made.parameters["probe"] <= 64
    assert faiss.downcast_index(index).nprobe == made.parameters["probe"]


def test_tuning_reads_no_vectors_and_stops_when_more_would_only_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = with_defaults(IndexKind(kind="ivf_pq", parameters={"lists": 64}), *VECTORS.shape)
    index, tried = make_index(VECTORS, kind), []
    truth = replace(truths(VECTORS, kind)[0], vectors=np.empty((len(VECTORS), 0)))
    monkeypatch.setattr(recall, "set_effort", lambda _, name, effort: tried.append(effort))
    made = tune(index, kind, truth, target=0.5)
    assert tried == [1, made.parameters["probe"]] == [1, 1]
    assert made.parameters["rescore"] == kind.parameters["rescore"]


def test_queries_between_rows_are_unit_rows() -> None:
    queries = between(VECTORS, 50, seed=3)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(queries, between(VECTORS, 50, seed=3))
