"""From logits to token ids: temperature, top-k, top-p, min-p, seeded per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAX_TEMPERATURE = 2.0
_MAX_PENALTY = 10.0
_MAX_SEED = 2**63 - 1
# Tokens this many times as likely as the likeliest one are few, and mostly all that can be drawn.
_FEW = 0.002


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

    temperature: float = 0.85
    top_p: float = 0.95
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
    weighted = logits + weights
    rows = zip(weighted, generators, strict=True)
    ids = np.array([_draw_row(row, sampling, generator) for row, generator in rows], dtype=np.int64)
    return ids, log_softmax(logits)[np.arange(len(ids)), ids]


def _draw_row(logits: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    uniform = generator.random()
    if sampling.temperature == 0.0:
        return int(np.argmax(logits))
    allowed = np.flatnonzero(logits > -np.inf)
    scaled = logits[allowed]
    odds = np.exp((scaled - scaled.max()) / sampling.temperature, dtype=np.float64)
    if sampling.min_p:
        allowed, odds = allowed[odds >= sampling.min_p], odds[odds >= sampling.min_p]
    order = _likeliest(odds, sampling)
    total = odds[order].sum() if sampling.top_k else odds.sum()
    cumulative = np.cumsum(odds[order])
    # The token that crosses top_p is kept, so there is always one.
    kept = 1 + int(np.searchsorted(cumulative, sampling.top_p * total))
    kept = min(kept, len(cumulative))
    place = int(np.searchsorted(cumulative[:kept], uniform * cumulative[kept - 1], side="right"))
    return int(allowed[order[min(place, kept - 1)]])


def _likeliest(odds: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Places of all tokens that may be drawn, and perhaps some more, the likeliest first."""
    few = np.flatnonzero(odds >= _FEW)
    enough = len(few) >= sampling.top_k if sampling.top_k else odds[few].sum() >= sampling.top_p * odds.sum()
    # Sorting the whole vocabulary would take longer than all else that a draw does.
    places = few if enough else np.arange(len(odds))
    return places[np.argsort(-odds[places], kind="stable")][: sampling.top_k or None]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities, float32 (N, V), of logits of that shape."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
