"""Training in processes of their own, as the command line and the launchers start it.

They are forked from a server that has imported PyTorch already: each starts at once, and may be killed.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from models.training.config import TrainingConfig

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["models.training.train"])
# More than any of these runs takes on a busy machine.
TIMEOUT = 300


def start(config: TrainingConfig, *, processes: int = 1) -> list[BaseProcess]:
    """Train in so many processes."""
    port, started = _free_port(), []
    for rank in range(processes):
        arguments = (config.arguments(), _launched(rank, processes, port), said(config, rank))
        started.append(_CONTEXT.Process(target=_train, args=arguments, daemon=True))
        started[-1].start()
    return started


class Forked:
    """A run in one process, handled as `subprocess` would."""

    def __init__(self, config: TrainingConfig) -> None:
        (self._process,) = start(config)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int:
        self._process.join(TIMEOUT)
        return -1 if self._process.exitcode is None else self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode


def finish(started: list[BaseProcess]) -> list[int | None]:
    """Wait, and return the exit codes."""
    for process in started:
        process.join(TIMEOUT)
    return [process.exitcode for process in started]


def said(config: TrainingConfig, rank: int = 0) -> Path:
    """What a process wrote to standard error."""
    return Path(f"{config.out}.stderr.{rank}")


def weights(config: TrainingConfig, rank: int) -> dict[str, torch.Tensor]:
    """The weights that a process ended with."""
    return torch.load(_weights(config.out, rank), weights_only=True)


def _weights(out: str | Path, rank: int | str) -> str:
    return f"{out}.weights.{rank}"


def _train(words: list[str], environment: dict[str, str], stderr: Path) -> None:
    os.environ.update(environment)
    with stderr.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    sys.argv[1:] = words
    from models.training import train

    real = train.Trainer.run

    def run(trainer: train.Trainer) -> None:
        real(trainer)
        torch.save(trainer.model.state_dict(), _weights(trainer.out, environment.get("RANK", "0")))

    train.Trainer.run = run
    train.main()


def _launched(rank: int, processes: int, port: int) -> dict[str, str]:
    """What a launcher tells each process."""
    if processes == 1:
        return {}
    number = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    return {name: str(value) for name, value in number.items()} | {"MASTER_ADDR": "localhost"}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
