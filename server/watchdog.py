"""Notices workers that crash or hang, and what then follows.

A worker is whatever can say for how long it has had work and made no progress. One that is silent for too
long, or crashes again and again, makes the server unhealthy until it goes on. A
server that stays unhealthy cannot help itself: a thread cannot be ended from outside, and what it holds is
not given back. It ends with status 70, for whoever supervises it to start a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

EXIT_LOST = 70
_EVERY_SECONDS = 1.0


class Worker(Protocol):
    """A worker as the watchdog sees it. `silence` is called on the watchdog's thread and must not wait."""

    @property
    def name(self) -> str: ...

    def silence(self) -> float:
        """Seconds for which there has been work and no progress; 0.0 when idle, inf after many crashes."""


class Heartbeat(Protocol):
    """What a part says of its thread; `seconds` is as `Worker.silence`."""

    @property
    def seconds(self) -> float: ...


@runtime_checkable
class Beating(Protocol):
    """A part of a snapshot that works on a thread of its own."""

    def heartbeat(self) -> Heartbeat: ...


class Part:
    """A part of a snapshot as a worker."""

    def __init__(self, name: str, part: Beating) -> None:
        self.name = name
        self._part = part

    def silence(self) -> float:
        return self._part.heartbeat().seconds


class EventLoopWorker:
    """The event loop: silent while a callback blocks it."""

    name = "event loop"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: float | None = None

    def silence(self) -> float:
        if self._asked is not None:
            return time.monotonic() - self._asked
        self._asked = time.monotonic()
        # A closed loop means that the process is ending.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answer)
        return 0.0

    def _answer(self) -> None:
        self._asked = None


class Watchdog:
    """Looks at the workers again and again, on a thread of its own.

    `check` is one look; everything else is when to look.
    """

    def __init__(
        self,
        workers: Callable[[], Iterable[Worker]],
        *,
        stall: float,
        patience: float,
        changed: Callable[[str], None],
        lost: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            stall: seconds of silence after which a worker counts as hung.
            patience: seconds of being unhealthy after which the server is lost.
            changed: told why the server is unhealthy, and an empty string when it is well again.
            lost: told why, once.
        """
        self._workers = workers
        self._stall = stall
        self._patience = patience
        self._changed = changed
        self._lost = lost
        self._clock = clock
        self._every = min(_EVERY_SECONDS, stall / 4)
        self._awake_since = self._looked = clock()
        self._unwell_since: float | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more; waits for nothing."""
        self._stopped.set()

    def check(self) -> None:
        """Look once; not any more after `stop`."""
        if self._stopped.is_set():
            return
        now = self._clock()
        if now - self._looked > self._stall / 2:
            # This process was suspended: silence from before says nothing.
            self._awake_since = now
            self._unwell_since = None if self._unwell_since is None else now
        self._looked = now
        why = "; ".join(filter(None, map(self._complaint, self._workers())))
        if why and self._unwell_since is None:
            self._unwell_since = now
            self._changed(why)
        elif not why and self._unwell_since is not None:
            self._unwell_since = None
            self._changed("")
        elif self._unwell_since is not None and now - self._unwell_since >= self._patience:
            self.stop()
            self._lost(why)

    def _complaint(self, worker: Worker) -> str:
        silence = worker.silence()
        if silence == math.inf:
            return f"{worker.name} has crashed"
        silence = min(silence, self._clock() - self._awake_since)
        return f"{worker.name} has made no progress for {silence:.0f} s" if silence > self._stall else ""

    def _watch(self) -> None:
        while not self._stopped.wait(self._every):
            self.check()
