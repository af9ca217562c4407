"""What is added to a poet's logits besides the rules: against repetition, for keywords, for parallelism."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.prosody import Form
from models.prosody.doubling import may_double
from models.prosody.parallelism import Opposites
from models.wishes import Wishes

# The least mean score that characters are drawn with. Lines score somewhat above it, about as people's do:
# places where the poet would score more by itself are left as they are.
PARALLELISM = 0.2

_STRONGEST = 1.0
# Tokens this much less likely than the likeliest, in nats, do not move a mean.
_FAR = 15.0
_HALVINGS = 6


class Guide:
    """The guidance of one request."""

    def __init__(
        self,
        *,
        form: Form,
        frequency_penalty: float,
        parallel_lines: Sequence[int],
        parallelism: float | None,
        opposites: Opposites,
        wishes: Wishes | None = None,
    ) -> None:
        """`parallelism` is the least mean score in `parallel_lines`; None is off."""
        self._form = form
        self._penalty = np.float32(frequency_penalty)
        self._parallel_lines = parallel_lines if parallelism is not None else ()
        self._parallelism = parallelism or 0.0
        self._opposites = opposites
        self._wishes = wishes

    def guide(self, weighted: np.ndarray, lines: Sequence[str], line: str, ids: Sequence[int]) -> None:
        """Change the logits of the next character in place.

        Args:
            weighted: float32 (V,), the poet's own with the weights of the rules added; −inf forbids.
            lines: the poem's finished lines.
            line: the beginning of the next one.
            ids: token ids of all that is written.
        """
        if self._penalty and ids:
            free = line and may_double(line[-1], len(line) - 1, self._form.characters)
            repeated = np.array(ids[:-1] if free else ids, dtype=np.int64)
            np.subtract.at(weighted, repeated, self._penalty)
        if self._wishes is not None:
            self._wishes.add(weighted, lines, line)
        if len(lines) in self._parallel_lines:
            scores = self._opposites.scores(lines[-1])[len(line)]
            weighted += tilt(weighted, scores, self._parallelism) * scores


def tilt(logits: np.ndarray, scores: np.ndarray, mean: float) -> np.float32:
    """The least b from 0 to 1 at which softmax(logits + b · scores) has this mean score; 1 where none has.

    Of all distributions with that mean it is the one closest to softmax(logits), in relative entropy
    (Csiszár 1975, I-divergence geometry of probability distributions). The mean rises with b.
    """
    likely = np.flatnonzero(logits > logits.max() - _FAR)
    logits, scores = logits[likely], scores[likely]

    def mean_at(strength: float) -> float:
        odds = np.exp(logits + np.float32(strength) * scores - logits.max())
        return float(odds @ scores / odds.sum())

    low, high = 0.0, _STRONGEST
    if mean_at(low) >= mean:
        return np.float32(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_at(middle) < mean else (low, middle)
    return np.float32(high)
