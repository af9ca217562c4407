"""Dynamic batching: what several threads ask for at the same time is computed in one run.

There is no thread of its own: of the callers that are there, one runs the batch for all, and a caller that
is alone waits for nobody. While a batch runs, those that come gather for the next one; so batches grow with
the load by themselves, and waiting on purpose (`max_wait_us`) pays only where runs are very short.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass
class BatchStats:
    """Counters of a batcher; only ever growing. Reading them needs no lock.

    Attributes:
        runs, items: batches that were run, and what was in them.
        alone: items that were run anew by themselves, because their batch failed.
        sizes: how often each batch size came.
        waited_seconds: between an item's coming and the beginning of its run, added up.
        busy_since: `time.monotonic` of the beginning of the run that goes on; 0.0 when none does.
    """

    runs: int = 0
    items: int = 0
    alone: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    waited_seconds: float = 0.0
    busy_since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Batching:
    """Limits of batches.

    Attributes:
        max_pictures: pictures of so many requests at most go into one run; 0 suits the provider. On a CPU
            a run takes as long as its pictures one by one, and keeps the first waiting for the last: 1.
        max_batch: texts to encode, or prompts to read, of so many requests at most go into one run.
        max_wait_us: microseconds that the first of them waits for others.
        max_rows: lines that are being written in one decoder step.
    """

    max_pictures: int = 0
    max_batch: int = 32
    max_wait_us: int = 0
    max_rows: int = 128


@dataclass(frozen=True)
class Heartbeat:
    """How the work of a thread fares.

    Attributes:
        pending: whether there is work, going on or waiting.
        seconds: since its last sign of life: its last step, or its beginning; 0.0 without work. Many seconds
            mean that a run hangs.
    """

    pending: bool
    seconds: float


class Batcher(Generic[Item, Answer]):
    """Gathers the calls of many threads for one function of a list."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        max_batch: int = 32,
        max_wait_us: int = 0,
    ) -> None:
        """`run` gives an answer for each item, which may not depend on the others. `max_wait_us` is how many
        microseconds the first item of a batch waits for others."""
        self._run = run
        self._max_batch = max_batch
        self._max_wait = max_wait_us / 1e6
        self._lock = threading.Lock()
        self._full = threading.Event()
        self._waiting: deque[_Entry[Item, Answer]] = deque()
        self._led = False
        self.stats = BatchStats()

    def __call__(self, item: Item) -> Answer:
        """The answer for one item. Raises what `run` raises for this item alone."""
        entry: _Entry[Item, Answer] = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            leads, self._led = not self._led, True
            if len(self._waiting) >= self._max_batch:
                self._full.set()
        if not leads:
            # Until somebody has its answer, or it is its turn to run a batch.
            entry.wake.acquire()
        while not entry.done:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return cast(Answer, entry.answer)

    def heartbeat(self) -> Heartbeat:
        """For a watchdog: how long the batch that runs has been running."""
        since = self.stats.busy_since
        return Heartbeat(bool(since), time.monotonic() - since if since else 0.0)

    def _lead(self, leader: _Entry[Item, Answer]) -> None:
        """Gather a batch, run it, and hand the lead on once the leader has its own answer."""
        with self._lock:
            self._full.clear()
            missing = self._max_batch - len(self._waiting)
        if self._max_wait and missing > 0:
            self._full.wait(self._max_wait)
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
        self._note(batch)
        try:
            self._answer(batch)
        finally:
            self.stats.busy_since = 0.0
            with self._lock:
                follower = self._waiting[0] if leader.done and self._waiting else None
                self._led = follower is not None or not leader.done
            for entry in (*batch, *([follower] if follower else [])):
                if entry is not leader:
                    entry.wake.release()

    def _answer(self, batch: Sequence[_Entry[Item, Answer]]) -> None:
        try:
            answers = self._run([entry.item for entry in batch])
            for entry, answer in zip(batch, answers, strict=True):
                entry.answer = answer
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, Exception):
                # One of them may have spoilt it for all: each by itself gets what it deserves.
                self.stats.alone += len(batch)
                for entry in batch:
                    self._answer([entry])
            else:
                for entry in batch:
                    entry.error = error
        for entry in batch:
            entry.done = True

    def _note(self, batch: Sequence[_Entry[Item, Answer]]) -> None:
        stats, now = self.stats, time.monotonic()
        stats.busy_since = now
        stats.runs += 1
        stats.items += len(batch)
        stats.sizes[len(batch)] = stats.sizes.get(len(batch), 0) + 1
        stats.waited_seconds += sum(now - entry.came for entry in batch)


class _Entry(Generic[Item, Answer]):
    """An item that waits, and its answer."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.came = time.monotonic()
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.done = False
        self.wake = threading.Lock()
        self.wake.acquire()
