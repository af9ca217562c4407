"""Continuous batching: one thread takes decoder steps for the poems of all requests at once.

A request's thread hands in a `Task` with its rows and waits for what comes of it; between two steps tasks
join the batch, and those that have ended, failed or been stopped leave it. All rows share one run of the
decoder and one draw. What a row gives depends on that row alone (see models.sequences.GRAIN).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.batching import Heartbeat
from models.sampling import Sampling, log_probabilities_of, pick
from models.sequences import Sequences
from models.tasks import EngineStopped, Listener, Progress, Task
from models.window import Member, Window

_IDLE_SECONDS = 2.0


@dataclass
class StepStats:
    """Counters of the steps; only ever growing. Reading them needs no lock.

    Attributes:
        steps, rows, tokens: runs of the decoder, rows in them, tokens drawn.
        alone: tasks that were stepped by themselves, because their common step failed.
        failed: tasks that ended with an error.
        tasks: tasks that were begun.
        sizes: how often each number of rows came.
        queued_seconds: between a task's coming and its joining the batch, added up.
        step_seconds: spent in the decoder, added up.
    """

    steps: int = 0
    rows: int = 0
    tokens: int = 0
    alone: int = 0
    failed: int = 0
    tasks: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    queued_seconds: float = 0.0
    step_seconds: float = 0.0


class _Live:
    """A task that is in the batch; `pending` are the tokens of each row that the decoder has not read yet."""

    def __init__(self, progress: Progress, member: Member) -> None:
        self.progress = progress
        self.task = progress.task
        self.member = member
        self.pending = [list(tokens) for tokens in progress.begun.pending]


class Stepper:
    """Runs tasks, many at a time. Its thread lives while there is work, and a little longer."""

    def __init__(self, window: Window, *, max_rows: int = 128) -> None:
        """`max_rows`: a task waits as long as the batch would be larger with it, unless it is alone."""
        self._window = window
        self._max_rows = max_rows
        self._changed = threading.Condition()
        self._waiting: deque[Progress] = deque()
        self._live: list[_Live] = []
        # Rows move when some leave, so that nobody leaves while a step's results are handed out.
        self._ended: list[tuple[_Live, BaseException | None]] = []
        self._thread: threading.Thread | None = None
        self._busy = False
        self._last = time.monotonic()
        self.stats = StepStats()

    def submit(self, task: Task, sequences: Sequences, listener: Listener | None = None) -> Progress:
        """Begin a task with these rows. All of them have as many pending tokens."""
        progress = Progress(task, sequences, listener)
        with self._changed:
            if not self._busy:
                self._busy, self._last = True, progress.came
            self._waiting.append(progress)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="stepper", daemon=True)
                self._thread.start()
            self._changed.notify()
        return progress

    def heartbeat(self) -> Heartbeat:
        """For a watchdog: long since the last step, with work pending, is a hung decoder."""
        return Heartbeat(self._busy, time.monotonic() - self._last if self._busy else 0.0)

    def _work(self) -> None:
        try:
            while self._gather():
                self._advance()
        except BaseException as error:
            self._abandon(error)

    def _gather(self) -> bool:
        """Let stopped tasks go and waiting ones in; False when there has been no work for a while."""
        for live in [live for live in self._live if live.task.stopped()]:
            self._release(live)
        with self._changed:
            while not (self._waiting or self._live):
                self._busy = False
                if not self._changed.wait(_IDLE_SECONDS):
                    self._window.clear()
                    self._thread = None
                    return False
        while (progress := self._next()) is not None:
            self._join(progress)
        return True

    def _next(self) -> Progress | None:
        with self._changed:
            return self._waiting.popleft() if self._waiting and self._fits(self._waiting[0]) else None

    def _fits(self, progress: Progress) -> bool:
        return not self._live or len(self._window) + len(progress.begun) <= self._max_rows

    def _join(self, progress: Progress) -> None:
        self.stats.tasks += 1
        self.stats.queued_seconds += time.monotonic() - progress.came
        if progress.task.stopped():
            progress.end()
        else:
            self._live.append(_Live(progress, self._window.join(progress.begun)))

    def _release(self, live: _Live, error: BaseException | None = None, *, done: bool = False) -> None:
        self._live.remove(live)
        sequences = self._window.leave(live.member)
        live.progress.sequences = sequences if done else None
        self.stats.failed += error is not None
        live.progress.end(error)

    def _abandon(self, error: BaseException) -> None:
        """The thread dies: tell everybody."""
        with self._changed:
            self._thread, self._busy = None, False
            progresses = [*(live.progress for live in self._live), *self._waiting]
            self._live.clear()
            self._ended.clear()
            self._waiting.clear()
            self._window.clear()
        for progress in progresses:
            failure = EngineStopped(f"the engine's thread ended with {error!r}")
            failure.__cause__ = error
            progress.end(failure)

    def _advance(self) -> None:
        """One step of all rows, and a draw for those that have read all they were to read."""
        if not self._live:
            return
        logits = self._step()
        drawing = []
        for live in self._live:
            live.pending = [tokens[1:] for tokens in live.pending]
            if not live.pending[0]:
                drawing.append(live)
        weighted = np.empty_like(logits)
        drawing = [live for live in drawing if self._guarded(live, self._weigh, logits, weighted)]
        for some in _alike(drawing):
            rows = np.concatenate([live.member.rows for live in some])
            whole = np.array_equal(rows, np.arange(len(logits)))
            own = (logits, weighted) if whole else (logits[rows], weighted[rows])
            self._draw(some, *own)
        for live, error in self._ended:
            self._release(live, error, done=error is None)
        self._ended.clear()
        self._last = time.monotonic()

    def _step(self) -> np.ndarray:
        """Logits, float32 (N, V), after the first of each row's pending tokens. Tasks that fail are gone."""
        began = time.perf_counter()
        try:
            logits = self._window.step(self._next_ids())
        except Exception:
            logits = self._step_each()
        stats, rows = self.stats, len(self._window)
        stats.step_seconds += time.perf_counter() - began
        stats.steps += 1
        stats.rows += rows
        stats.sizes[rows] = stats.sizes.get(rows, 0) + 1
        return logits

    def _next_ids(self) -> np.ndarray:
        ids = np.zeros(len(self._window), dtype=np.int64)
        for live in self._live:
            ids[live.member.rows] = [tokens[0] for tokens in live.pending]
        return ids

    def _step_each(self) -> np.ndarray:
        """The same, each task by itself: one that cannot be stepped must not harm the others."""
        tasks = [(live, self._window.whole(live.member)) for live in self._live]
        self.stats.alone += len(tasks)
        self._window.clear()
        self._live, found = [], []
        for live, sequences in tasks:
            ids = np.array([tokens[0] for tokens in live.pending], dtype=np.int64)
            try:
                logits, after = self._window.step_alone(sequences, ids)
            except Exception as error:
                self.stats.failed += 1
                live.progress.end(error)
            else:
                live.member = self._window.join(after)
                self._live.append(live)
                found.append(logits)
        return np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)

    def _weigh(self, live: _Live, logits: np.ndarray, weighted: np.ndarray) -> None:
        for place, row in enumerate(live.member.rows.tolist()):
            live.task.weigh(place, logits[row], weighted[row])
            if not np.isfinite(weighted[row].max()):
                raise FloatingPointError("no token can be drawn: all are forbidden, or no number")

    def _draw(self, some: Sequence[_Live], logits: np.ndarray, weighted: np.ndarray) -> None:
        """Draw for tasks of one way of drawing, and let them take it; rows are in the tasks' order."""
        generators = [generator for live in some for generator in live.task.generators]
        ids = pick(weighted, some[0].task.sampling, generators)
        log_probabilities = log_probabilities_of(logits, ids)
        self.stats.tokens += len(ids)
        first = 0
        for live in some:
            last = first + len(live.member.rows)
            self._guarded(live, self._take, ids[first:last], log_probabilities[first:last])
            first = last

    def _take(self, live: _Live, ids: np.ndarray, log_probabilities: np.ndarray) -> None:
        item, read = live.task.take(ids, log_probabilities)
        live.progress.tell(item)
        if read is None:
            self._ended.append((live, None))
        else:
            live.pending = read

    def _guarded(self, live: _Live, act: Callable[..., None], *arguments: np.ndarray) -> bool:
        """Do it; what it raises ends this task alone. Returns whether it went well."""
        try:
            act(live, *arguments)
        except Exception as error:
            self._ended.append((live, error))
            return False
        return True


def _alike(tasks: Sequence[_Live]) -> list[list[_Live]]:
    """Tasks by their way of drawing."""
    groups: dict[Sampling, list[_Live]] = {}
    for live in tasks:
        groups.setdefault(live.task.sampling, []).append(live)
    return list(groups.values())
