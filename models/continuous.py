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
from typing import Any

import numpy as np

from models.batching import Heartbeat
from models.live import Live, alike, row_slices, rows_of
from models.sampling import log_probabilities_of, pick
from models.sequences import Sequences
from models.tasks import EngineStopped, Listener, Mixture, Progress, Task
from models.window import Window

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


class Stepper:
    """Runs tasks, many at a time. Its thread lives while there is work, and a little longer."""

    def __init__(self, window: Window, *, max_rows: int = 128, mixture: Mixture | None = None) -> None:
        """`max_rows`: a task waits as long as the batch would be larger with it, unless it is alone."""
        self._window = window
        self._mixture = mixture
        self._max_rows = max_rows
        self._changed = threading.Condition()
        self._waiting: deque[Progress] = deque()
        self._live: list[Live] = []
        # Rows move when some leave, so that nobody leaves while a step's results are handed out.
        self._ended: list[tuple[Live, BaseException | None]] = []
        self._taken: list[tuple[Live, object, list[list[int]] | None]] = []
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
            return
        try:
            member = self._window.join(progress.begun)
        except BaseException as error:
            # Neither among those that wait any more, nor in the batch: nobody else would tell it.
            progress.end(error)
            raise
        self._live.append(Live(progress, member))

    def _release(self, live: Live, error: BaseException | None = None, *, done: bool = False) -> None:
        # Should this fail, it is still among those that are told of it.
        live.progress.sequences = self._window.leave(live.member, keep=done and live.task.goes_on)
        self._live.remove(live)
        live.progress.finished = done
        self.stats.failed += error is not None
        live.progress.end(error)

    def _abandon(self, error: BaseException) -> None:
        """The thread dies: tell everybody."""
        with self._changed:
            self._thread, self._busy = None, False
            progresses = [*(live.progress for live in self._live), *self._waiting]
            self._live.clear()
            self._ended.clear()
            self._taken.clear()
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
        # In the order of their rows, so that these need not be copied where all of them draw.
        self._live.sort(key=lambda live: int(live.member.rows[0]))
        drawing = []
        for live in self._live:
            live.pending = [tokens[1:] for tokens in live.pending]
            if not live.pending[0]:
                drawing.append(live)
        if drawing:
            self._write(drawing, logits)
        # Only now: whoever is told wakes up, and takes the interpreter away from what is left to do here.
        for live, *taken in self._taken:
            self._guarded(live, self._tell, *taken)
        self._taken.clear()
        for live, error in self._ended:
            self._release(live, error, done=error is None)
        self._ended.clear()
        self._last = time.monotonic()

    def _step(self) -> np.ndarray:
        """Logits, float32 (N, V), after the first of each row's pending tokens. Tasks that fail are gone."""
        began = time.perf_counter()
        self._window.settle()
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

    def _write(self, drawing: list[Live], logits: np.ndarray) -> None:
        """Draw for these tasks, in the order of their rows, and let them take it.

        Rows are treated together where that can be: NumPy lets go of the interpreter in each call for a
        vocabulary, and it takes long to come back where others want it.
        """
        drawing = [live for live in drawing if self._guarded(live, self._ask)]
        if not drawing:
            return
        own = rows_of(drawing, logits)
        if self._mixture is not None:
            self._mixture(own, [line for live in drawing for line in live.lines])
        weighted = np.stack([weights for live in drawing for weights in live.weights])
        weighted += own
        places = row_slices(drawing)
        able = [
            self._guarded(live, self._guide, weighted[place])
            for live, place in zip(drawing, places, strict=True)
        ]
        finite = np.isfinite(weighted.max(axis=1))
        ready = [
            (live, place)
            for live, place, good in zip(drawing, places, able, strict=True)
            if good and self._guarded(live, self._check, finite[place])
        ]
        for some in alike(ready):
            rows = np.concatenate([np.arange(len(own))[place] for _, place in some])
            theirs = (own, weighted) if len(rows) == len(own) else (own[rows], weighted[rows])
            self._draw([live for live, _ in some], *theirs)

    def _ask(self, live: Live) -> None:
        rows = range(len(live.member.rows))
        live.lines = [live.task.line(row) for row in rows]
        live.weights = [live.task.weights(row) for row in rows]

    def _guide(self, live: Live, weighted: np.ndarray) -> None:
        for row, own in enumerate(weighted):
            live.task.guide(row, own)

    def _check(self, live: Live, finite: np.ndarray) -> None:
        if not finite.all():
            raise FloatingPointError("no token can be drawn: all are forbidden, or no number")

    def _draw(self, some: Sequence[Live], logits: np.ndarray, weighted: np.ndarray) -> None:
        """Draw for tasks of one way of drawing, and let them take it; rows are in the tasks' order."""
        generators = [generator for live in some for generator in live.task.generators]
        ids = pick(weighted, some[0].task.sampling, generators)
        log_probabilities = log_probabilities_of(logits, ids)
        self.stats.tokens += len(ids)
        for live, place in zip(some, row_slices(some), strict=True):
            self._guarded(live, self._take, ids[place], log_probabilities[place])

    def _take(self, live: Live, ids: np.ndarray, log_probabilities: np.ndarray) -> None:
        self._taken.append((live, *live.task.take(ids, log_probabilities)))

    def _tell(self, live: Live, item: object, read: list[list[int]] | None) -> None:
        live.progress.tell(item)
        if read is None:
            self._ended.append((live, None))
        else:
            live.pending = read

    def _guarded(self, live: Live, act: Callable[..., None], *arguments: Any) -> bool:
        """Do it; what it raises ends this task alone. Returns whether it went well."""
        try:
            act(live, *arguments)
        except Exception as error:
            self._ended.append((live, error))
            return False
        return True
