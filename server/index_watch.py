"""Keeps the served index the published one, while requests go on.

The pointer is looked at every few seconds, by reading it: 26 bytes, of which a network filesystem gives the
newest copy to whoever opens the file anew, which it does not promise of a `stat`. A newer version is
verified, loaded and warmed in a thread of its own and then takes its place by one assignment. What cannot be
served is refused: the old one stays, and the log and the counters say why.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from index_builder.artifact import EncoderMismatch, IndexMissing
from index_builder.index import IndexUnreachable, KeywordIndex
from models.bundle import CorruptArtifact
from server import memory, telemetry
from server.catalog import Catalog

T = TypeVar("T")

_LONGEST_WAIT = 300.0
_REASONS: dict[type[Exception], str] = {
    EncoderMismatch: "foreign_encoder",
    CorruptArtifact: "corrupt",
    IndexMissing: "missing",
    IndexUnreachable: "unreachable",
    OSError: "unreadable",
}


@dataclass
class IndexCounters:
    """What has happened to the index since the start; written on the event loop, read from anywhere.

    Attributes:
        swaps: times that another version took its place.
        refusals: versions refused, by reason: `foreign_encoder`, `corrupt`, `missing`, `unreachable`,
            `unreadable`, `failed`.
        last_refusal: the latest one, for people; empty where there was none.
        load_seconds: what verifying, loading and warming the latest version took.
        swapped_at: when that was, in seconds since 1970; 0 where it was at the start.
        retired: versions replaced that some request still holds.
    """

    swaps: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    last_refusal: str = ""
    load_seconds: float = 0.0
    swapped_at: float = 0.0
    retired: int = 0

    def results(self) -> dict[str, int]:
        """Attempts to serve another version, by how they ended: `swapped`, or why it was refused."""
        return {"swapped": self.swaps, **self.refusals}


class IndexWatch:
    """Notices, loads and swaps. Use it inside one event loop, whose thread calls its methods.

    Attributes:
        counters: what has happened so far.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        published: Callable[[], str],
        load: Callable[[str, str], KeywordIndex],
        patient: bool = False,
        unreachable: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        """
        Args:
            published: tells the published version. It blocks, and is called in a thread, as is `load`.
            load: takes a version and the encoder's fingerprint and gives an index that is ready to serve.
            patient: let requests have the cores first. Not for an index that starts threads to search with:
                they would have the loading thread's low priority.
            unreachable: told why the index cannot be reached when a look finds so, and an empty string when
                one finds it again.
        """
        self.counters = IndexCounters()
        self._catalog = catalog
        self._published = published
        self._load = load
        self._unreachable = unreachable
        self._reached = True
        self._refused = _Refused()
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Future[Any]] = set()
        # Of its own, so that a filesystem that hangs keeps nobody else waiting.
        initializer = _yield_to_requests if patient else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index", initializer=initializer)

    def start(self, interval: float) -> None:
        """Look at the pointer every `interval` seconds until `close`."""
        self._keep(asyncio.ensure_future(self._look_for_ever(interval)))

    def close(self) -> None:
        """Look no more; what is being loaded is dropped."""
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> None:
        """Look at the pointer once, and serve what it names. Failures are counted and logged, not raised."""
        try:
            version = await self.in_thread(self._published)
        except Exception as error:
            await self._note_reached(not isinstance(error, IndexUnreachable), str(error))
            if self._refused.is_due(""):
                self._refuse("", error)
            return
        await self._note_reached(True)
        if version == self._catalog.current().index.version:
            self._refused = _Refused()
        elif self._refused.is_due(version):
            with suppress(Exception):
                await self.serve(version)

    async def serve(self, version: str, *, publish: Callable[[], object] | None = None) -> KeywordIndex:
        """Load a version and let it take its place; `publish` is called, in a thread, between the two.

        The served version is not loaded again. Once begun it goes on, whether or not the caller does. Raises
        what loading and `publish` raise, after it was counted and logged; the old version stays then.
        """
        return await asyncio.shield(self._keep(asyncio.ensure_future(self._serve(version, publish))))

    async def in_thread(self, function: Callable[[], T]) -> T:
        """What `function` returns; one runs at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _note_reached(self, reached: bool, why: str = "") -> None:
        if reached != self._reached and self._unreachable is not None:
            await self._unreachable("" if reached else why)
        self._reached = reached

    async def _look_for_ever(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self.look()

    async def _serve(self, version: str, publish: Callable[[], object] | None) -> KeywordIndex:
        async with self._one_at_a_time:
            started = time.perf_counter()
            old = self._catalog.current()
            index = old.index
            try:
                if version != index.version:
                    index = await self.in_thread(lambda: self._load(version, old.encoder.fingerprint))
                if publish is not None:
                    await self.in_thread(publish)
            except Exception as error:
                self._refuse(version, error)
                raise
            if index is not old.index:
                self._swap(index, seconds=time.perf_counter() - started)
            return index

    def _swap(self, index: KeywordIndex, *, seconds: float) -> None:
        snapshot = self._catalog.current()
        self._catalog.swap(replace(snapshot, index=index))
        self._refused = _Refused()
        counters = self.counters
        counters.swaps += 1
        counters.retired += 1
        counters.load_seconds, counters.swapped_at = seconds, time.time()
        weakref.finalize(snapshot.index, self._freed, asyncio.get_running_loop()).atexit = False
        telemetry.event(
            "index swapped",
            index_version=index.version,
            before=snapshot.index.version,
            keywords=index.count,
            seconds=seconds,
        )

    def _freed(self, loop: asyncio.AbstractEventLoop) -> None:
        """The last request that held a replaced version has ended, in whatever thread."""
        # A closed loop means that the process is ending.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._count_freed)

    def _count_freed(self) -> None:
        self.counters.retired -= 1
        # The thread is gone where the server has stopped meanwhile.
        with suppress(RuntimeError):
            self._thread.submit(memory.give_back)

    def _refuse(self, version: str, error: Exception) -> None:
        reason = next((name for kind, name in _REASONS.items() if isinstance(error, kind)), "failed")
        self._refused = self._refused.again(version)
        self.counters.refusals[reason] += 1
        self.counters.last_refusal = f"{version}: {error}"
        fields = {"index_version": version, "reason": reason, "error": str(error)}
        unforeseen = error if reason == "failed" else None
        telemetry.log.warning("index refused", extra={"fields": fields}, exc_info=unforeseen)

    def _keep(self, task: asyncio.Future[T]) -> asyncio.Future[T]:
        """The event loop itself holds tasks weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _yield_to_requests() -> None:
    """On Linux a thread has a niceness of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


@dataclass(frozen=True)
class _Refused:
    """The version that was refused last, tried again after longer and longer waits: a network filesystem may
    show a folder before it shows all of its files.
    """

    version: str | None = None
    due: float = 0.0
    wait: float = 2.5

    def is_due(self, version: str) -> bool:
        return version != self.version or time.monotonic() >= self.due

    def again(self, version: str) -> _Refused:
        wait = min(_LONGEST_WAIT, 2 * self.wait) if version == self.version else _Refused.wait * 2
        return _Refused(version, time.monotonic() + wait, wait)
