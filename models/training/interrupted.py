"""Train twice, once killed at random moments, and show that both runs end alike.

    python -m models.training.interrupted --kills 4 --arch gpt2 --corpus runs/corpus \
        --keywords index_builder/data/keywords.tsv --out runs/interrupted --steps 200 --d-model 64 --layers 2

Other options are those of `models.training.train`. In the folder: both runs, `whole` and `killed`, and
`curves.png`, the loss of both with the kills marked. Exits with 1 where their weights differ in a bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import matplotlib
import torch

from models.training.checkpoint import CHECKPOINT, LOG, read_log
from models.training.config import TrainingConfig, parse_config

matplotlib.use("Agg")
from matplotlib import pyplot

CURVES = "curves.png"
# Checkpoints are written often, so that kills fall into the writing too.
_CHECKPOINT_MINUTES = 0.02
# A kill comes so many seconds, at most, after the step that it is planned for.
_LATER = 0.5


class Running(Protocol):
    """A process, as `subprocess` has it."""

    def kill(self) -> None: ...
    def wait(self) -> int: ...
    def poll(self) -> int | None: ...


def start(config: TrainingConfig) -> Running:
    """Train in a process of its own; what it says goes to a file beside the run's folder."""
    command = [sys.executable, "-m", "models.training.train", *config.arguments()]
    with open(f"{config.out}.txt", "a", encoding="utf-8") as file:
        return subprocess.Popen(command, stderr=file)


def train_killed(
    config: TrainingConfig,
    kills: int,
    rng: random.Random,
    starter: Callable[[TrainingConfig], Running] = start,
) -> list[int]:
    """Train to the end with so many kills; returns the steps that they came after."""
    steps = []
    for planned in sorted(rng.randrange(config.steps) for _ in range(kills)):
        running = starter(config)
        while steps_of(config) < planned and running.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, _LATER))
        running.kill()
        running.wait()
        steps.append(steps_of(config))
    if code := starter(config).wait():
        raise RuntimeError(f"training ended with {code}, see {config.out}.txt")
    return steps


def losses(config: TrainingConfig) -> list[float]:
    """The training loss of each step that is logged."""
    return [entry["loss"] for entry in read_log(Path(config.out) / LOG) if "loss" in entry]


def steps_of(config: TrainingConfig) -> int:
    return len(losses(config))


def alike(one: TrainingConfig, other: TrainingConfig) -> bool:
    """Whether two runs ended with the same weights, bit for bit."""
    mine, theirs = (
        torch.load(Path(config.out) / CHECKPOINT, weights_only=True)["model"] for config in (one, other)
    )
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def draw(whole: TrainingConfig, killed: TrainingConfig, kills: list[int], png: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for config, looks in ((whole, {"color": "0.75", "lw": 5}), (killed, {"color": "C0", "lw": 1})):
        curve = losses(config)
        axes.plot(range(1, len(curve) + 1), curve, **looks, label=Path(config.out).name)
    for step in kills:
        axes.axvline(step, color="C3", linestyle=":")
    axes.set(xlabel="step", ylabel="nats per token", title=f"kill -9 after step {', '.join(map(str, kills))}")
    axes.legend()
    figure.savefig(png, dpi=110)
    pyplot.close(figure)


def demonstrate(
    config: TrainingConfig, kills: int, starter: Callable[[TrainingConfig], Running] = start
) -> int:
    """Train both runs below `config.out` and draw them; returns the exit code."""
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    whole = replace(config, out=str(out / "whole"), checkpoint_minutes=_CHECKPOINT_MINUTES)
    killed = replace(whole, out=str(out / "killed"))
    train_killed(whole, 0, random.Random(), starter)
    after = train_killed(killed, kills, random.Random(), starter)
    draw(whole, killed, after, out / CURVES)
    same = alike(whole, killed) and losses(whole) == losses(killed)
    print(f"killed after step {after}: {'the same' if same else 'OTHER'} losses and weights, {out / CURVES}")
    return 0 if same else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.interrupted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--kills", type=int, default=4)
    options, words = parser.parse_known_args(arguments)
    config = parse_config(words)
    if not config.steps:
        parser.error("give --steps: a run by the clock has no exact end")
    return demonstrate(config, options.kills)


if __name__ == "__main__":
    sys.exit(main())
