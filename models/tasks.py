"""What passes between a request's thread and the engine's: tasks one way, what comes of them the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol, TypeAlias

import numpy as np

from models.sampling import Sampling
from models.sequences import Sequences


class EngineStopped(RuntimeError):
    """The thread that takes the steps has died; the next task starts another one."""


Mixture: TypeAlias = Callable[[np.ndarray, Sequence[Sequence[int]]], None]
"""Turns the logits of the next token, float32 (N, V), into those of the model that log probabilities are told
of, in place; by the ids of each row's line so far."""

Listener: TypeAlias = Callable[[Any], None]
"""Is told each item by the engine's thread, at once; what it does must be short."""


class Task(Protocol):
    """What a request does with its rows: asked by the engine's thread, step by step.

    Attributes:
        sampling: how its tokens are drawn.
        generators: the random numbers of each row.
        goes_on: whether its rows are wanted as they are at its end.
    """

    @property
    def sampling(self) -> Sampling: ...

    @property
    def generators(self) -> Sequence[np.random.Generator]: ...

    @property
    def goes_on(self) -> bool: ...

    def stopped(self) -> bool:
        """Whether to end here; asked before each step."""

    def line(self, row: int) -> Sequence[int]:
        """Token ids of the line that this row is writing: what the engine's mixture goes by."""

    def weights(self, row: int) -> np.ndarray:
        """What is added to a row's logits, float32 (V,), not to be changed: −inf forbids a token."""

    def guide(self, row: int, weighted: np.ndarray) -> None:
        """Change a row's logits, float32 (V,), to which its weights were added, in place; one is to stay
        finite."""

    def take(self, ids: np.ndarray, log_probabilities: np.ndarray) -> tuple[object, list[list[int]] | None]:
        """Take the drawn tokens, both (N,).

        Returns what the request is told, and for each row the tokens to be read next, or None at the end.
        """


class Progress:
    """What comes of a task. Iterate to get what it tells, step by step; raises what ended the task.

    With a listener the iteration waits for the task's end: a thread that is woken for every character costs
    more than all else that is done for it.

    Attributes:
        finished: after the iteration, whether the task came to its end; it did not where it was stopped.
        sequences: then the rows of one that goes on, as they are at its end; else None.
    """

    def __init__(self, task: Task, sequences: Sequences, listener: Listener | None = None) -> None:
        self.task = task
        self.begun = sequences
        self.came = time.monotonic()
        self.finished = False
        self.sequences: Sequences | None = None
        self._listener = listener
        self._heard: list[Any] = []
        self._items: SimpleQueue[Any] = SimpleQueue()

    def __iter__(self) -> Iterator[Any]:
        while not isinstance(item := self._items.get(), _End):
            yield item
        yield from self._heard
        if item.error is not None:
            raise item.error

    def tell(self, item: object) -> None:
        if self._listener is None:
            self._items.put(item)
        else:
            self._heard.append(item)
            self._listener(item)

    def end(self, error: BaseException | None = None) -> None:
        self._items.put(_End(error))


@dataclass(frozen=True)
class _End:
    error: BaseException | None
