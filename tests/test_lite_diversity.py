"""Maximal marginal relevance, by itself and in the index."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from index_builder.faiss_index import FaissIndex
from models.diversity import spread

# Two near-synonyms, and something else that is a little less near.
VECTORS = np.array([[1, 0, 0], [0.99, 0.141, 0], [0.8, 0, 0.6], [0, 1, 0]], np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
SCORES = np.array([0.9, 0.88, 0.8, 0.1], np.float32)


def index() -> FaissIndex:
    flat = faiss.IndexFlatIP(3)
    flat.add(VECTORS)
    return FaissIndex(flat, "山峰舟月", version="1", encoder_fingerprint="x", kind="flat")


@pytest.mark.parametrize(
    ("diversity", "expected"), [(0, [0, 1, 2, 3]), (0.4, [0, 1, 2, 3]), (1, [0, 2, 1, 3])]
)
def test_what_is_near_is_filled_up_with_what_is_unlike(diversity: float, expected: list[int]) -> None:
    assert spread(SCORES, VECTORS, 4, diversity=diversity) == expected


@pytest.mark.parametrize(
    ("diversity", "score", "first"),
    [(0.5, 0.45, [0, 3]), (0.5, 0.44, [0, 1]), (0.6, 0.44, [0, 3]), (0, 0.8, [0, 1]), (1, 0.19, [0, 2])],
)
def test_another_thing_comes_first_if_it_scores_well(
    diversity: float, score: float, first: list[int]
) -> None:
    """The third of `VECTORS` is another thing; from 0.2 on, and a share of 1 - diversity, it counts."""
    scores = np.append(SCORES[:3], np.float32(score))
    assert spread(scores, VECTORS, 2, diversity=diversity) == first


def test_each_thing_comes_once_before_any_comes_again() -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32), 20, axis=0)
    scores = np.linspace(0.9, 0.5, 80, dtype=np.float32)
    assert spread(scores, vectors, 6) == [0, 20, 40, 60, 1, 2]
    assert spread(scores, vectors, 2) == [0, 20]
    assert spread(scores, vectors, 4) == [0, 20, 40, 1]  # half of the places beside the best


def test_spread_of_few_and_of_negative_scores() -> None:
    assert spread(SCORES[:0], VECTORS[:0], 3) == []
    assert spread(SCORES[:2], VECTORS[:2], 3) == [0, 1]
    assert spread(SCORES - 1, VECTORS, 2)[0] == 0


@pytest.mark.parametrize("diversity", [-0.1, 1.1])
def test_a_diversity_outside_is_refused(diversity: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        spread(SCORES, VECTORS, 2, diversity=diversity)


def test_the_index_spreads_its_neighbours() -> None:
    query = np.array([1, 0, 0.25], np.float32)
    plain = [keyword.text for keyword in index().nearest(query, 2)]
    assert plain == ["山", "峰"]
    assert index().diverse(query, 2, diversity=0) == index().nearest(query, 2)
    spread_out = index().diverse(query, 2, diversity=1)
    assert [keyword.text for keyword in spread_out] == ["山", "舟"]
    assert spread_out[1].score == pytest.approx(float(VECTORS[2] @ query), abs=1e-6)
    assert len(index().diverse(query, 9)) == 4
