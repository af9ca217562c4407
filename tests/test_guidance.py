"""What is added to a poet's logits besides the rules."""

from __future__ import annotations

import numpy as np
import pytest

from models.guidance import Guide, tilt
from models.prosody import FORMS, parallelism
from models.prosody.parallelism import Opposites

VOCABULARY = ("[PAD]", *"红白黄青山水花月愁梦千万萧")
OPPOSITES = Opposites(VOCABULARY)
RNG = np.random.default_rng(0)


def guide(*, penalty: float = 0.0, target: float | None = None) -> Guide:
    return Guide(
        form=FORMS["wulv"],
        frequency_penalty=penalty,
        parallel_lines=FORMS["wulv"].parallel_lines,
        parallelism=target,
        opposites=OPPOSITES,
    )


def added(guide: Guide, lines=(), line="", ids=(), logits=None) -> np.ndarray:
    logits = np.zeros(len(VOCABULARY), dtype=np.float32) if logits is None else logits
    weighted = logits.copy()
    guide.guide(weighted, lines, line, ids)
    return weighted - logits


def mean(logits: np.ndarray, scores: np.ndarray) -> float:
    odds = np.exp(logits - logits.max())
    return float(odds @ scores / odds.sum())


def test_opposites_are_the_scores_of_single_characters():
    scores = OPPOSITES.scores("红山")
    assert scores.shape == (2, len(VOCABULARY))
    assert scores[0, VOCABULARY.index("白")] == pytest.approx(parallelism().score("红", "白"), abs=1e-5)
    assert scores[1, VOCABULARY.index("水")] == pytest.approx(parallelism().score("山", "水"), abs=1e-5)
    # A character of the upper line is avoided wherever it stood; what is no character scores nothing.
    assert scores[1, VOCABULARY.index("红")] == pytest.approx(parallelism().repeated)
    assert not scores[:, 0].any()


@pytest.mark.parametrize("target", [-0.5, 0.0, 0.5, 1.0])
def test_a_tilt_brings_the_mean_score_to_its_target(target):
    logits, scores = RNG.normal(size=500).astype(np.float32), RNG.normal(size=500).astype(np.float32)
    strength = tilt(logits, scores, target)
    if mean(logits, scores) >= target:
        assert strength == 0
    elif strength < 1:
        assert mean(logits + strength * scores, scores) == pytest.approx(target, abs=0.03)
    else:
        assert mean(logits + scores, scores) < target + 0.03


def test_a_tilt_knows_its_bounds_and_leaves_what_is_forbidden():
    scores = np.array([1.0, -1.0, 5.0], dtype=np.float32)
    logits = np.array([0.0, 9.0, -np.inf], dtype=np.float32)
    assert tilt(logits, scores, 0.9) == 1
    assert tilt(logits, scores, -1.5) == 0
    assert 0 < tilt(np.array([0.0, 0.0, -np.inf], dtype=np.float32), scores, 0.3) < 1


def test_parallel_lines_alone_are_tilted():
    lines = ["红山花月愁"] * 3
    assert added(guide(target=0.5), lines).argmax() == OPPOSITES.scores(lines[-1])[0].argmax()
    assert added(guide(target=0.5), lines, "白").argmax() == OPPOSITES.scores(lines[-1])[1].argmax()
    assert not added(guide(target=0.5), lines[:2]).any()
    assert not added(guide(target=None), lines).any()


def test_a_poet_that_is_parallel_by_itself_is_left_alone():
    lines = ["红山花月愁"] * 3
    assert not added(guide(target=0.5), lines, logits=10 * OPPOSITES.scores(lines[-1])[0]).any()


def test_repetition_costs_and_a_word_may_double_its_character():
    ids = [VOCABULARY.index(character) for character in "花花萧"]
    costs = added(guide(penalty=2.0), line="花花萧", ids=ids)
    assert costs[VOCABULARY.index("花")] == -4
    assert costs[VOCABULARY.index("萧")] == 0
    assert added(guide(penalty=2.0), line="花", ids=ids[:1])[VOCABULARY.index("花")] == -2
    assert np.count_nonzero(added(guide(penalty=2.0))) == 0


def test_what_the_rules_forbid_stays_forbidden():
    weighted = np.full(len(VOCABULARY), -np.inf, dtype=np.float32)
    weighted[3] = 0.0
    guide(penalty=2.0, target=0.5).guide(weighted, ["红山花月愁"] * 3, "", [3])
    assert np.isfinite(weighted).nonzero()[0].tolist() == [3]
