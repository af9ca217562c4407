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
# Of float32 sums of a vocabulary.
_MARGIN = 1e-4


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
    """Ids, int64 (N,), drawn from logits float32 (N, V), as `draw`. What a row gives depends on it alone."""
    uniforms = [generator.random() for generator in generators]
    if sampling.temperature == 0.0:
        return weighted.argmax(axis=1)
    odds = weighted - weighted.max(axis=1, keepdims=True)
    odds /= np.float32(sampling.temperature)
    np.exp(odds, out=odds)
    if sampling.min_p:
        odds[odds < sampling.min_p] = 0.0
    # Row by row: rows have from three tokens to some hundred to sort, and one matrix of them is mostly empty.
    rows = zip(odds, odds.sum(axis=1), uniforms, strict=True)
    return np.array([_drawn(*row, sampling) for row in rows], dtype=np.int64)


def _drawn(odds: np.ndarray, total: np.float32, uniform: float, sampling: Sampling) -> int:
    """An id out of odds, float32 (V,), by a number from 0 to 1; `total` is their sum."""
    ids, likeliest = _sorted(odds, _candidates(odds, total, sampling))
    if sampling.top_k:
        likeliest = likeliest[: sampling.top_k]
    cumulative = np.cumsum(likeliest, dtype=np.float64)
    mass = cumulative[-1] if sampling.top_k else total
    # The token that crosses top_p is kept, so there is always one.
    kept = min(int(cumulative.searchsorted(sampling.top_p * mass)), len(cumulative) - 1)
    drawn = cumulative[: kept + 1].searchsorted(uniform * cumulative[kept], side="right")
    return int(ids[min(int(drawn), kept)])


def _candidates(odds: np.ndarray, total: np.float32, sampling: Sampling) -> np.ndarray:
    """Ids of tokens that hold all that may be drawn: sorting the whole vocabulary would take much longer."""
    for least in _FEW:
        ids = (odds >= least).nonzero()[0]
        if len(ids) >= sampling.top_k > 0:
            return ids
        if not sampling.top_k and odds[ids].sum(dtype=np.float64) > (sampling.top_p + _MARGIN) * total:
            return ids
    return odds.nonzero()[0]


def _sorted(odds: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """These ids and their odds, the likeliest first, of equal ones the smaller id."""
    # Odds are not negative: their bits have their order. NumPy sorts numbers many times faster than places.
    keys = (~odds[ids].view(np.uint32)).astype(np.uint64) << np.uint64(32) | ids.astype(np.uint64)
    keys.sort()
    ids = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return ids, odds[ids]


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
