"""From logits to token ids: temperature, top-k, top-p, min-p, seeded per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAX_TEMPERATURE = 2.0
_MAX_PENALTY = 10.0
_MAX_SEED = 2**63 - 1
# Tokens at least so many times as likely as the likeliest one are few, and mostly all that can be drawn.
_FEW = (2e-3, 1e-4)


class InvalidOption(ValueError):
    """An option outside its limits; the message names the option and the limits."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is drawn.

    Attributes:
        temperature: 0 takes the likeliest token always; up to 2.
        top_p: smallest set of likeliest tokens with this much probability, in (0, 1]; 1 is off.
        top_k: the k likeliest tokens; 0 is off.
        min_p: tokens at least this many times as likely as the likeliest one, in [0, 1); 0 is off.
        frequency_penalty: taken from a character's logit for each time that it stands in the poem already,
            but for the place next to one that people double (萧萧). 0 … 10; 0 is off.

    Raises InvalidOption.
    """

    temperature: float = 1.0
    top_p: float = 0.97
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 2.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= _MAX_TEMPERATURE:
            raise InvalidOption(f"temperature must be from 0 to {_MAX_TEMPERATURE}, not {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise InvalidOption(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.top_k < 0:
            raise InvalidOption(f"sampling top_k must be 0 (off) or more, not {self.top_k}")
        if not 0.0 <= self.min_p < 1.0:
            raise InvalidOption(f"min_p must be from 0 to below 1, not {self.min_p}")
        if not 0.0 <= self.frequency_penalty <= _MAX_PENALTY:
            raise InvalidOption(
                f"frequency_penalty must be from 0 to {_MAX_PENALTY}, not {self.frequency_penalty}"
            )


def generator_of(seed: int, *place: int) -> np.random.Generator:
    """The random numbers of one row: they depend on the seed and on the row's place alone.

    Raises InvalidOption for a seed below 0 or above 2^63 - 1.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise InvalidOption(f"seed must be from 0 to {_MAX_SEED}, not {seed}")
    return np.random.default_rng([seed, *place])


def draw(
    logits: np.ndarray,
    weights: np.ndarray,
    sampling: Sampling,
    generators: Sequence[np.random.Generator],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a token for each row.

    Args:
        logits: float32 (N, V).
        weights: float32 (N, V) or (V,), added to the logits; −inf forbids, at least one token of each row
            must be finite.
        sampling: how to draw.
        generators: one a row; each gives one number.

    Returns:
        ids: int64 (N,).
        log_probabilities: float32 (N,), natural logarithm, under the model itself: before the weights, at
            temperature 1.
    """
    ids = pick(logits + weights, sampling, generators)
    return ids, log_probabilities_of(logits, ids)


def pick(weighted: np.ndarray, sampling: Sampling, generators: Sequence[np.random.Generator]) -> np.ndarray:
    """Ids, int64 (N,), drawn from logits float32 (N, V), as `draw`. What a row gives depends on it alone."""
    uniforms = np.array([generator.random() for generator in generators])
    if sampling.temperature == 0.0:
        return weighted.argmax(axis=1)
    odds = weighted - weighted.max(axis=1, keepdims=True)
    odds /= np.float32(sampling.temperature)
    np.exp(odds, out=odds)
    if sampling.min_p:
        odds[odds < sampling.min_p] = 0.0
    ids = np.empty(len(odds), dtype=np.int64)
    left = np.arange(len(odds))
    # Sorting the whole vocabulary would take longer than all else that a draw does.
    for least in (*_FEW, 0.0):
        some = odds if len(left) == len(odds) else odds[left]
        likely = some >= least if least else some > 0.0
        picked, sure = _pick_among(some, likely, uniforms[left], sampling)
        ids[left] = picked
        left = left[~sure]
        if not least or not len(left):
            break
    return ids


def _pick_among(
    odds: np.ndarray, likely: np.ndarray, uniforms: np.ndarray, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray]:
    """An id of each row, int64 (N,), out of the tokens that `likely`, bool (N, V), names, and whether these
    were all that may be drawn, bool (N,)."""
    places, likeliest = _sorted(odds, likely)
    found = (likeliest > 0.0).sum(axis=1)
    if sampling.top_k:
        likeliest[:, sampling.top_k :] = 0.0
    cumulative = np.cumsum(likeliest, axis=1)
    total = cumulative[:, -1] if sampling.top_k else odds.sum(axis=1)
    sure = found >= sampling.top_k if sampling.top_k else cumulative[:, -1] >= sampling.top_p * total
    # The token that crosses top_p is kept, so there is always one.
    kept = (cumulative < (sampling.top_p * total)[:, None]).sum(axis=1)
    kept = np.minimum(kept, (likeliest > 0.0).sum(axis=1) - 1)
    every = np.arange(len(odds))
    drawn = (cumulative <= (uniforms * cumulative[every, kept])[:, None]).sum(axis=1)
    return places[every, np.minimum(drawn, kept)], sure


def _sorted(odds: np.ndarray, likely: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids of the likely tokens of each row, the likeliest first, and their odds; odds of 0 fill up.

    int64 and float64, both (N, K) where K is the largest number of likely tokens.
    """
    # Of a flat array, for numpy finds the places of a matrix several times more slowly.
    rows, ids = np.divmod(np.flatnonzero(likely), likely.shape[1])
    counts = np.bincount(rows, minlength=len(odds))
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.zeros((len(odds), counts.max()), dtype=np.int64)
    places[rows, columns] = ids
    found = np.zeros(places.shape, dtype=np.float64)
    found[rows, columns] = odds[rows, ids]
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)


def log_probabilities_of(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Log probability, float32 (N,), of one token id a row under logits (N, V)."""
    peaks = logits.max(axis=1)
    odds = logits - peaks[:, None]
    chosen = odds[np.arange(len(ids)), ids]
    return chosen - np.log(np.exp(odds, out=odds).sum(axis=1))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities, float32 (N, V), of logits of that shape."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
