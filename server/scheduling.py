"""Places for work, and threads that do it off the event loop.

A lane is one kind of work: so many threads, and so many more requests that may wait for one. A request
gets a permit before any work is done for it, or is refused at once. The permit is given back when the
work has really ended in its thread, not when the caller has left, so that the places never lie.

A lane works inside one event loop; its methods are called on that loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Work: TypeAlias = Callable[[Callable[[], bool]], Iterator[T]]


class Overloaded(Exception):
    """Every place is taken.

    Attributes:
        retry_after_ms: a good moment to try again, in milliseconds from now.
    """

    def __init__(self, lane: str, places: int, retry_after_ms: int) -> None:
        super().__init__(f"all {places} places for {lane} are taken; try again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class Draining(Exception):
    """The server is stopping and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class Permit:
    """A place that was taken, to be released once; releasing it again does nothing."""

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission

    def release(self) -> None:
        if self._admission is not None:
            self._admission.in_use -= 1
            self._admission = None


class Admission:
    """Counts places. Nobody waits here: there is a place, or there is none.

    Attributes:
        name: of the work, for messages.
        places: how many permits there are.
        in_use: how many are out.
    """

    def __init__(self, name: str, places: int, *, retry_after_ms: int) -> None:
        self.name = name
        self.places = places
        self.in_use = 0
        self._retry_after_ms = retry_after_ms
        self._closed = False

    def admit(self) -> Permit:
        """Take a place. Raises Draining after `close`, Overloaded when none is left."""
        if self._closed:
            raise Draining
        if self.in_use >= self.places:
            raise Overloaded(self.name, self.places, self._retry_after_ms)
        self.in_use += 1
        return Permit(self)

    def close(self) -> None:
        """Admit nobody any more."""
        self._closed = True


class Run(Generic[T]):
    """Work that goes on in a thread, and its items as they are made.

    Use it as a context manager and iterate inside. Leaving the block, in whatever way, tells the work to
    stop: one that did not begin is dropped, one that did sees it at its next step. Leaving waits for nothing.
    Iterating raises what the work raised.
    """

    def __init__(self, executor: ThreadPoolExecutor, permit: Permit, make: Work[T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T | _End] = asyncio.Queue()
        self._stop = threading.Event()
        self._permit = permit
        self._future = executor.submit(self._work, make)
        self._future.add_done_callback(lambda future: self._on_loop(self._over, future))

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._future.cancel()

    def __aiter__(self) -> Run[T]:
        return self

    async def __anext__(self) -> T:
        item = await self._items.get()
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            raise StopAsyncIteration
        return item

    def _work(self, make: Work[T]) -> None:
        # The generator is made, run and dropped in this thread: closing it from another one would fail.
        for item in make(self._stop.is_set):
            if self._stop.is_set():
                return
            self._on_loop(self._items.put_nowait, item)

    def _over(self, future: Future[None]) -> None:
        """The thread has let go of the work, or never took it."""
        self._permit.release()
        self._items.put_nowait(_End(error=None if future.cancelled() else future.exception()))

    def _on_loop(self, callback: Callable[..., object], argument: object) -> None:
        # A closed loop means that the process is ending and nobody is left to hear of it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, argument)


class Lane:
    """One kind of work: its places and its threads.

    Attributes:
        admission: the places: one for each thread, and `waiting` more.
    """

    def __init__(self, name: str, *, workers: int, waiting: int, retry_after_ms: int) -> None:
        self.admission = Admission(name, workers + waiting, retry_after_ms=retry_after_ms)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)

    def start(self, make: Work[T]) -> Run[T]:
        """Run the iterator that `make` returns in one thread. Raises Overloaded or Draining at once.

        `make` is called in that thread with a function that tells whether to stop; it must be asked often.
        """
        permit = self.admission.admit()
        try:
            return Run(self._executor, permit, make)
        except BaseException:
            permit.release()
            raise

    async def call(self, function: Callable[[], T]) -> T:
        """Run `function` in a thread and return what it returns. Raises Overloaded or Draining at once."""
        with self.start(lambda stopped: iter([function()])) as run:
            # To the end, so that the place is free again when the caller goes on.
            [result] = [item async for item in run]
            return result

    def close(self) -> None:
        """Take no new work; what was begun goes on."""
        self.admission.close()

    def shutdown(self) -> None:
        """Let go of the threads, without waiting for them."""
        self.close()
        self._executor.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _End:
    """Follows the last item; `error` is what the work raised."""

    error: BaseException | None
