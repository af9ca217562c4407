"""The watchdog of a server: what it watches, and what it does with a server that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from functools import partial

from server import telemetry
from server.admission import Unhealthy
from server.catalog import Catalog
from server.config import Config
from server.readiness import Readiness
from server.scheduling import Lane
from server.watchdog import EXIT_LOST, EventLoopWorker, Watchdog

_LAST_WORDS_SECONDS = 1.0


def supervise(config: Config, readiness: Readiness, catalog: Catalog, lanes: Sequence[Lane]) -> Watchdog:
    """Watch the event loop that this is called on, the lanes and the workers of the snapshot that serves.

    There must be a snapshot. The watchdog is started; stop it before the server stops.
    """
    loop = asyncio.get_running_loop()
    event_loop = EventLoopWorker(loop)

    def changed(why: str) -> None:
        asyncio.run_coroutine_threadsafe(readiness.fault(why), loop)

    def lost(why: str) -> None:
        telemetry.log.critical("lost", extra={"fields": {"why": why}})
        with contextlib.suppress(RuntimeError):
            for lane in lanes:
                loop.call_soon_threadsafe(lane.abort, partial(Unhealthy, f"the server ends: {why}"))
        # Callers and the log hear of it first. An ordinary end would wait for the thread that hangs.
        time.sleep(_LAST_WORDS_SECONDS)
        os._exit(EXIT_LOST)

    watchdog = Watchdog(
        lambda: (event_loop, *lanes, *catalog.current().workers()),
        stall=config.stall,
        patience=config.stall_exit,
        changed=changed,
        lost=lost,
    )
    watchdog.start()
    return watchdog
