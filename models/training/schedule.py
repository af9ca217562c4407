"""How the learning rate and the helps to copying change over a run."""

from __future__ import annotations

import math

SCHEDULES = ("cosine", "wsd")
_LEAST = 0.01
# Share of a warm-up, stable, decay run that decays.
_DECAY = 0.3


def rate_factor(schedule: str, *, step: int, warmup_steps: int, done: float) -> float:
    """Factor of the learning rate at `step` (from 0), with the share `done` of the run behind it.

    Linear warm-up, then `cosine`, or `wsd`: stable, and linear decay at the end. Both end at one hundredth.
    """
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    if schedule == "cosine":
        return warm * (_LEAST + (1 - _LEAST) * 0.5 * (1 + math.cos(math.pi * done)))
    return warm * max(_LEAST, min(1.0, (1 - done) / _DECAY))


def faded(value: float, *, done: float, until: float, to: float = 0.0) -> float:
    """A line from `value` at the run's start to `to` when the share `until` of it is done."""
    return to + (value - to) * max(0.0, 1 - done / until)
