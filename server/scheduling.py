"""Threads that work off the event loop, and items that come from them as they are made.

A lane is one kind of work: its places (see admission) and its threads. The place is given back when the work
has really ended in its thread, not when the caller has left, so that the places never lie.

A lane works inside one event loop; its methods are called on that loop's thread, but for `silence`.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from server.admission import Admission, Caller, Draining, Ticket
from server.outbox import Outbox

_STARVED = 10
# So many crashes with no success in between are not bad luck.
_CRASH_LOOP = 3
_ONE_CRASH_SECONDS = 0.1

T = TypeVar("T")
Work: TypeAlias = "Callable[[Run[T]], Iterator[T]]"


class WorkerFailed(RuntimeError):
    """Work ended with what is no Exception; raised in its place, for on an event loop that would end all."""


class Run(Generic[T]):
    """Work that waits for a thread or goes on in one, and its items as they are made.

    Use it as a context manager and iterate inside. Leaving the block, in whatever way, tells the work to
    stop: one that did not begin is dropped, one that did sees it at its next step. Leaving waits for nothing.
    Iterating raises what the work raised.

    Attributes:
        beat: when the work last made an item, or began (`time.monotonic`).
    """

    def __init__(self, lane: Lane, make: Work[T], caller: Caller, outbox: Outbox) -> None:
        self._lane = lane
        self._make = make
        self._outbox = outbox
        self._items: asyncio.Queue[T | _End] = asyncio.Queue()
        self._stop = threading.Event()
        self.ticket = Ticket(caller)
        self.beat = 0.0

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._lane.drop(self)
        # An error that nobody reads holds, by its traceback, the frames that hold this run.
        while not self._items.empty():
            self._items.get_nowait()

    def __aiter__(self) -> Run[T]:
        return self

    async def __anext__(self) -> T:
        item = await self._items.get()
        if isinstance(item, _End):
            try:
                raise item.error or StopAsyncIteration
            finally:
                # The error's traceback holds this frame: together they would wait for the garbage collector.
                del item
        return item

    def abort(self, error: Exception) -> None:
        """End the iteration with `error` after the items that are there, and tell the work to stop."""
        self._stop.set()
        self._items.put_nowait(_End(error))

    def stopped(self) -> bool:
        """Whether the work is to end; to be asked often. In any thread."""
        return self._stop.is_set()

    def tell(self, item: T) -> None:
        """Hand on an item past the work's own thread. In any thread, while the work goes on."""
        self.beat = time.monotonic()
        if not self._stop.is_set():
            self._outbox.post(self._items.put_nowait, item)

    def begin(self, executor: ThreadPoolExecutor) -> None:
        self.beat = time.monotonic()
        future = executor.submit(self._work)
        future.add_done_callback(lambda future: self._outbox.post(self._over, future))

    def _work(self) -> None:
        if self._stop.is_set():
            return
        # The generator is made, run and dropped in this thread: closing it from another one would fail.
        for item in self._make(self):
            self.tell(item)
            if self._stop.is_set():
                return

    def _over(self, future: Future[None]) -> None:
        """The thread has let go of the work, or never took it."""
        # Whoever still asks whether to stop must not hold what the work was made of: an index, for one.
        del self._make
        error = None if future.cancelled() else future.exception()
        self._lane.ended(self, error)
        if self._stop.is_set():
            return
        if error is not None and not isinstance(error, Exception):
            error = WorkerFailed(f"the work ended with {type(error).__name__}: {error}")
        self._items.put_nowait(_End(error))


class Lane:
    """One kind of work: its places and its threads.

    Attributes:
        name: of the work.
        admission: the places: one for each thread, and `waiting` more.
    """

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        waiting: int,
        client_streams: int = 0,
        retry_after_ms: int = 100,
        crash: type[Exception] | None = None,
    ) -> None:
        """`client_streams` and `retry_after_ms` are as in Admission.

        `crash`: what work raises when what it depends on has crashed under it.
        """
        self.name = name
        self.admission = Admission(
            name,
            workers=workers,
            waiting=waiting,
            client_streams=client_streams,
            retry_after_ms=retry_after_ms,
        )
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._waiting: dict[Ticket, Run] = {}
        self._running: dict[Ticket, Run] = {}
        self._outbox: Outbox | None = None
        self._unread = 0
        self._crash = crash
        self._crashes = 0
        self._crashed = -math.inf

    def start(self, make: Work[T], caller: Caller | None = None) -> Run[T]:
        """Run the iterator that `make` returns in one thread, when it is the caller's turn.

        Raises Overloaded, DeadlineTooShort, TooManyStreams, Draining or Unhealthy at once, or Overloaded when
        the place is given to another while the work waits. `make` is called in that thread with the run.
        """
        if self._outbox is None:
            self._outbox = Outbox()
        run = Run(self, make, caller or Caller(), self._outbox)
        displaced = self.admission.enter(run.ticket)
        if displaced is not None:
            self._waiting.pop(displaced).abort(self.admission.refusal())
        self._waiting[run.ticket] = run
        self._unread += 1
        self._begin()
        return run

    async def call(self, function: Callable[[], T], caller: Caller | None = None) -> T:
        """Run `function` in a thread and return what it returns. Raises what `start` does."""
        with self.start(lambda _: iter([function()]), caller) as run:
            # To the end, so that the place is free again when the caller goes on.
            [result] = [item async for item in run]
            return result

    def drop(self, run: Run) -> None:
        """Forget a run that has not begun; one that has keeps its place to its end. Once for each run."""
        self._unread -= 1
        if self._waiting.pop(run.ticket, None) is not None:
            self.admission.leave(run.ticket)

    def ended(self, run: Run, error: BaseException | None) -> None:
        """The run's thread has let go of it, with what the work raised."""
        del self._running[run.ticket]
        if error is None:
            self._crashes, self._crashed = 0, -math.inf
        elif self._crash is not None and isinstance(error, self._crash):
            self._note_crash()
        self.admission.leave(run.ticket)
        self._begin()

    @property
    def busy(self) -> bool:
        """Whether anything waits, runs, or has ended with items that are still being read."""
        return bool(self._unread or self.admission.in_use)

    def silence(self) -> float:
        """Seconds since any run made an item or began; 0.0 where nothing runs; inf where crash follows crash.

        One that is silent while others go on may only be starved: its own seconds count a tenth.
        Work that is done at once on the event loop has no run: it beats for nobody and cannot look stuck.
        """
        if self._crashes >= _CRASH_LOOP:
            return math.inf
        # A copy in one step, for this is called on another thread.
        beats = [run.beat for run in list(self._running.values())]
        if not beats:
            return 0.0
        now = time.monotonic()
        return max(now - max(beats), (now - min(beats)) / _STARVED)

    def close(self, reason: Callable[[], Exception] = Draining) -> None:
        """Take no new work, but raise what `reason` makes; what was begun goes on."""
        self.admission.close(reason)

    def open(self) -> None:
        """Take work again."""
        self.admission.open()

    def abort(self, reason: Callable[[], Exception]) -> None:
        """End everything that waits or runs with what `reason` makes."""
        for run in (*self._waiting.values(), *self._running.values()):
            run.abort(reason())

    def shutdown(self) -> None:
        """Let go of the threads, without waiting for them."""
        self.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _note_crash(self) -> None:
        """One crash ends many runs, at once."""
        now = time.monotonic()
        if now - self._crashed > _ONE_CRASH_SECONDS:
            self._crashes += 1
            self._crashed = now

    def _begin(self) -> None:
        while (ticket := self.admission.begin()) is not None:
            run = self._running[ticket] = self._waiting.pop(ticket)
            run.begin(self._executor)


@dataclass(frozen=True)
class _End:
    """Follows the last item; `error` is what the work raised."""

    error: BaseException | None
