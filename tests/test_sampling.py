"""Drawing tokens."""

from __future__ import annotations

import numpy as np
import pytest

from models.prosody.constraint import mask_weights
from models.sampling import InvalidOption, Sampling, draw, generator_of, pick

FREE = np.ones(6, dtype=bool)
LOGITS = np.log(np.array([[0.4, 0.3, 0.15, 0.1, 0.04, 0.01]], dtype=np.float32))


def draws(sampling: Sampling, count: int = 3000, allowed: np.ndarray = FREE) -> np.ndarray:
    generators = [generator_of(1, 0)]
    weights = mask_weights(allowed)
    ids = [int(draw(LOGITS, weights, sampling, generators)[0][0]) for _ in range(count)]
    return np.bincount(ids, minlength=6) / count


def test_temperature_zero_takes_the_likeliest():
    assert draws(Sampling(temperature=0.0), 20)[0] == 1.0


def test_at_temperature_one_draws_follow_the_model():
    np.testing.assert_allclose(draws(Sampling(temperature=1.0, top_p=1.0)), np.exp(LOGITS[0]), atol=0.03)


def test_a_low_temperature_sharpens():
    expected = np.exp(LOGITS[0]) ** 2
    np.testing.assert_allclose(
        draws(Sampling(temperature=0.5, top_p=1.0)), expected / expected.sum(), atol=0.03
    )


def test_top_k_and_top_p_cut_the_tail():
    assert (draws(Sampling(temperature=1.0, top_p=1.0, top_k=2)) > 0).tolist() == [True, True] + [False] * 4
    assert (draws(Sampling(temperature=1.0, top_p=0.75)) > 0).tolist() == [True] * 3 + [False] * 3
    assert (draws(Sampling(temperature=1.0, top_p=1e-9)) > 0).tolist() == [True] + [False] * 5


def test_min_p_cuts_what_is_much_less_likely():
    sampling = Sampling(temperature=1.0, top_p=1.0, min_p=0.3)
    assert (draws(sampling) > 0).tolist() == [True] * 3 + [False] * 3
    assert (draws(Sampling(temperature=1.0, top_p=0.5, min_p=0.7)) > 0).tolist() == [True] + [False] * 5


def test_only_allowed_tokens_are_drawn():
    allowed = np.array([False, True, False, True, False, False])
    assert draws(Sampling(temperature=2.0, top_p=1.0), allowed=allowed)[allowed].sum() == 1.0


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(
    "options",
    [{"top_p": 1.0}, {"top_p": 0.9}, {"top_p": 0.2}, {"top_k": 40}, {"top_k": 40, "top_p": 0.5}],
    ids=str,
)
def test_draws_follow_what_is_left_of_the_odds(spread, options):
    rng = np.random.default_rng(7)
    # Rounded, so that many are equal.
    logits = np.round(rng.standard_normal(300) * spread, 1).astype(np.float32)
    logits[::3] = -np.inf
    sampling = Sampling(temperature=1.0, **{"top_p": 1.0} | options)
    odds = np.exp(logits.astype(np.float64))
    order = np.argsort(-odds, kind="stable")[: sampling.top_k or None]
    shares = odds[order].cumsum()
    order = order[: int((shares < sampling.top_p * shares[-1] * (1 - 1e-6)).sum()) + 1]
    expected = np.zeros(300)
    expected[order] = odds[order] / odds[order].sum()
    generators = [generator_of(1, row) for row in range(8000)]
    found = np.bincount(pick(np.tile(logits, (8000, 1)), sampling, generators), minlength=300) / 8000
    assert not found[expected == 0.0].any()
    # 6 standard deviations of a share; of what is rare, four draws.
    np.testing.assert_array_less(np.abs(found - expected), 6 * np.sqrt(expected / 8000) + 4 / 8000)


class Drawn:
    """A generator whose numbers are known."""

    def __init__(self, value: float) -> None:
        self.random = lambda: value


@pytest.mark.parametrize("value", [0.0, 0.5, 1 - 2**-53])
def test_no_number_draws_what_is_forbidden(value):
    logits = np.random.default_rng(3).standard_normal((200, 131)).astype(np.float32)
    logits[:, :2] = logits[:, 60:70] = logits[:, -3:] = -np.inf
    ids = pick(logits, Sampling(temperature=1.0, top_p=1.0), [Drawn(value)] * 200)
    assert np.isfinite(logits[np.arange(200), ids]).all()


def test_weights_shift_the_odds():
    weights = np.log(np.array([1, 2, 1, 1, 1, 1], dtype=np.float32))
    sampling = Sampling(temperature=1.0, top_p=1.0)
    generators = [generator_of(1, row) for row in range(3000)]
    ids, _ = draw(np.repeat(LOGITS, 3000, axis=0), weights, sampling, generators)
    expected = np.exp(LOGITS[0] + weights)
    np.testing.assert_allclose(np.bincount(ids, minlength=6) / 3000, expected / expected.sum(), atol=0.03)


def test_the_log_probability_is_the_models_own():
    weights = mask_weights(np.array([False, True, False, False, False, False]))
    _, log_probabilities = draw(LOGITS, weights, Sampling(temperature=0.3), [generator_of(0, 0)])
    assert log_probabilities[0] == pytest.approx(np.log(0.3), abs=1e-5)


def test_rows_are_seeded_apart_and_alike():
    flat = np.zeros((3, 1000), dtype=np.float32)

    def ids(rows: int, seed: int = 5) -> list[int]:
        generators = [generator_of(seed, row) for row in range(rows)]
        drawn, _ = draw(flat[:rows], flat[0], Sampling(temperature=1.0, top_p=1.0), generators)
        return drawn.tolist()

    assert ids(3)[:2] == ids(2)
    assert len(set(ids(3))) == 3
    assert ids(3) != ids(3, seed=6)


@pytest.mark.parametrize(
    "option",
    [
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": float("nan")},
        {"top_k": -1},
        {"min_p": -0.1},
        {"min_p": 1.0},
        {"min_p": float("nan")},
        {"frequency_penalty": -0.1},
        {"frequency_penalty": 10.1},
        {"frequency_penalty": float("nan")},
    ],
)
def test_options_outside_their_limits_are_refused(option):
    with pytest.raises(InvalidOption, match=next(iter(option))):
        Sampling(**option)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_outside_their_limits_are_refused(seed):
    with pytest.raises(InvalidOption, match="seed"):
        generator_of(seed, 0)
