"""Choosing among drafts by several measures at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.prosody import parallelism


def standard_scores(values: np.ndarray) -> np.ndarray:
    """Distance from the mean in standard deviations, float64 (N,); 0 where all are alike.

    Sums of standard scores need no weight between measures that would have to be tuned to each model.
    """
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


def most_parallel(upper: str, lowers: Sequence[str], log_probabilities: np.ndarray) -> int:
    """The place of the line that closes a couplet with `upper` best: likely and parallel, in equal parts.

    Args:
        upper: the couplet's first line.
        lowers: N lines of the same length.
        log_probabilities: of each of them, (N,).
    """
    merit = standard_scores(log_probabilities) + standard_scores(parallelism().scores(upper, lowers))
    return int(np.argmax(merit))
