"""Loss and recall of a fine-tuning run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def draw_chart(entries: Sequence[dict[str, Any]], png: Path) -> None:
    """Loss above, recall on held-out pairs below, over steps."""
    steps = [entry for entry in entries if "loss" in entry]
    held = [entry for entry in entries if "loss" not in entry]
    figure, (above, below) = pyplot.subplots(2, sharex=True, figsize=(9, 7), layout="constrained")
    above.plot([entry["step"] for entry in steps], [entry["loss"] for entry in steps], linewidth=0.8)
    above.set_ylabel("contrastive loss, nats")
    for name in (name for name in held[0] if name != "step"):
        direction, _, rank = name.rpartition("_")
        style = "-" if direction == "text_to_picture" else "--"
        label = f"{direction.replace('_', ' ')}, best {rank}"
        below.plot(
            [entry["step"] for entry in held], [entry[name] for entry in held], style, marker="o", label=label
        )
    below.set(ylabel="recall", xlabel="step", ylim=(0, 1))
    below.legend()
    figure.savefig(png, dpi=110)
    pyplot.close(figure)
