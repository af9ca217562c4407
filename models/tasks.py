"""What passes between a request's thread and the engine's: tasks one way, what comes of them the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np

from models.sampling import Sampling
from models.sequences import Sequences


class EngineStopped(RuntimeError):
    """The thread that takes the steps has died; the next task starts another one."""


class Task(Protocol):
    """What a request does with its rows: asked by the engine's thread, step by step.

    Attributes:
        sampling: how its tokens are drawn.
        generators: the random numbers of each row.
    """

    @property
    def sampling(self) -> Sampling: ...

    @property
    def generators(self) -> Sequence[np.random.Generator]: ...

    def stopped(self) -> bool:
        """Whether to end here; asked before each step."""

    def weigh(self, row: int, logits: np.ndarray, weighted: np.ndarray) -> None:
        """Write logits (V,), and what is added to them for this row, to `weighted` (V,); one is finite."""

    def take(self, ids: np.ndarray, log_probabilities: np.ndarray) -> tuple[object, list[list[int]] | None]:
        """Take the drawn tokens, both (N,).

        Returns what the request is told, and for each row the tokens to be read next, or None at the end.
        """


class Progress:
    """What comes of a task. Iterate to get what it tells, step by step; raises what ended the task.

    Attributes:
        sequences: after the iteration, the rows as they are then; None where the task was stopped.
    """

    def __init__(self, task: Task, sequences: Sequences) -> None:
        self.task = task
        self.begun = sequences
        self.came = time.monotonic()
        self.sequences: Sequences | None = None
        self._items: SimpleQueue[Any] = SimpleQueue()

    def __iter__(self) -> Iterator[Any]:
        while not isinstance(item := self._items.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def tell(self, item: object) -> None:
        self._items.put(item)

    def end(self, error: BaseException | None = None) -> None:
        self._items.put(_End(error))


@dataclass(frozen=True)
class _End:
    error: BaseException | None
