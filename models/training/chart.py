"""A run's log as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from models.training.checkpoint import read_log

matplotlib.use("Agg")
from matplotlib import pyplot

# Weight of a step in the running mean of the training loss.
_SMOOTHING = 0.02


def draw_chart(log: Path, png: Path) -> None:
    """Loss (steps, running mean, validation) above, keyword accuracy below, over steps."""
    entries = read_log(log)
    steps = [entry for entry in entries if "loss" in entry]
    held = [entry for entry in entries if "validation_loss" in entry]
    figure, (above, below) = pyplot.subplots(
        2, sharex=True, height_ratios=(3, 1), figsize=(9, 7), layout="constrained"
    )
    losses = _column(steps, "loss")
    above.plot(_column(steps, "step"), losses, color="0.85", linewidth=0.5)
    above.plot(_column(steps, "step"), _smooth(losses), label="training")
    above.plot(_column(held, "step"), _column(held, "validation_loss"), "o-", label="validation")
    above.set_ylabel("nats per token")
    above.legend()
    below.plot(_column(held, "step"), _column(held, "keyword_accuracy"), "o-", color="C1")
    below.set(ylabel="keyword accuracy", xlabel="step", ylim=(0, 1))
    figure.savefig(png, dpi=110)
    pyplot.close(figure)


def _column(entries: list[dict[str, Any]], name: str) -> list[float]:
    return [entry[name] for entry in entries]


def _smooth(values: list[float]) -> list[float]:
    means: list[float] = []
    for value in values:
        means.append(value if not means else means[-1] + _SMOOTHING * (value - means[-1]))
    return means
