"""From logits to token ids: temperature, top-k, top-p, min-p, seeded per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAX_TEMPERATURE = 2.0
_MAX_PENALTY = 10.0
_MAX_SEED = 2**63 - 1
# Odds that are added up together.
_BLOCK = 64


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

    temperature: float = 0.9
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
    """Ids, int64 (N,), drawn from logits float32 (N, V), as `draw`. What a row gives depends on it alone.

    Out of all tokens, and again where one falls outside the likeliest that `top_p` leaves: whether it does, a
    sum of what is likelier tells, and nothing need be sorted.
    """
    if sampling.temperature == 0.0:
        return weighted.argmax(axis=1)
    odds = weighted - weighted.max(axis=1, keepdims=True)
    odds *= np.float32(1 / sampling.temperature)
    np.exp(odds, out=odds)
    if sampling.min_p:
        odds[odds < sampling.min_p] = 0.0
    if sampling.top_k:
        for row in odds:
            _keep_likeliest(row, sampling.top_k)
    ids, totals = _proportional(odds, [generator.random() for generator in generators])
    if sampling.top_p < 1.0:
        own = odds[np.arange(len(ids)), ids]
        likelier = (odds * (odds >= own[:, np.newaxis])).sum(axis=1) - own
        most = sampling.top_p * totals
        for row in np.flatnonzero(likelier >= most).tolist():
            ids[row] = _among_likeliest(odds[row], int(ids[row]), most[row], generators[row])
    return ids


def _keep_likeliest(odds: np.ndarray, count: int) -> None:
    """Make all odds of a row (V,) 0 but so many of the highest; of equal ones the smaller ids' are kept."""
    if count < len(odds):
        least = np.partition(odds, -count)[-count]
        equal = np.flatnonzero(odds == least)
        odds[odds < least] = 0.0
        odds[equal[count - np.count_nonzero(odds > least) :]] = 0.0


def _proportional(odds: np.ndarray, uniforms: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Of each row (V,) of odds an id, drawn by a number from 0 to 1, and the sum: int64 and float64 (N,)."""
    rows, (_, size) = np.arange(len(odds)), odds.shape
    # First the block that the id is in: a running sum of all odds would take longer than all else here.
    blocks = np.add.reduceat(odds, np.arange(0, size, _BLOCK), axis=1).cumsum(axis=1, dtype=np.float64)
    totals = blocks[:, -1]
    targets = np.array(uniforms) * totals
    block = np.minimum((blocks <= targets[:, np.newaxis]).sum(axis=1), blocks.shape[1] - 1)
    before = np.where(block > 0, blocks[rows, block - 1], 0.0)
    places = np.minimum(block[:, np.newaxis] * _BLOCK + np.arange(_BLOCK), size - 1)
    within = odds[rows[:, np.newaxis], places].cumsum(axis=1, dtype=np.float64)
    passed = (within <= (targets - before)[:, np.newaxis]).sum(axis=1)
    ids = np.minimum(block * _BLOCK + passed, size - 1)
    # At a block's end rounding may leave a target behind all of its odds.
    for row in np.flatnonzero(odds[rows, ids] == 0.0):
        ids[row] = odds[row].argmax()
    return ids, totals


def _among_likeliest(odds: np.ndarray, index: int, most: float, generator: np.random.Generator) -> int:
    """This id, or one drawn anew out of a row (V,) of odds: one of which all that are likelier sum up to less
    than `most`. Of equal ones the smaller ids are likelier."""
    while True:
        odds = np.where(odds >= odds[index], odds, 0.0)
        equal = np.flatnonzero(odds == odds[index])
        odds[equal[equal >= index]] = 0.0
        if odds.sum() < most:
            return index
        [index] = _proportional(odds[np.newaxis], [generator.random()])[0].tolist()


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
