"""The composition root: puts the parts together, starts them, and stops them in good order.

The port is open from the start, with health NOT_SERVING and UNAVAILABLE (NOT_READY) for every call, until
models and index are loaded and warm. Stopping: NOT_SERVING first, then no new work, then the end of
running work or of the grace period, whichever is sooner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from image2poem.v1 import index_admin_service_pb2_grpc, poem_service_pb2_grpc
from models.precision import is_of_use
from models.tasks import EngineStopped
from server import telemetry, tokens, transport
from server.admission import Draining
from server.auth import Gate
from server.catalog import Catalog, Snapshot
from server.config import Config
from server.errors import Boundary
from server.handlers import Methods
from server.index_admin import ADMIN_SERVICE_NAME, IndexAdminService
from server.index_rebuild import Rebuilder
from server.index_source import index_source
from server.index_watch import IndexWatch
from server.loading import facts, load_snapshot, warm_up
from server.observability import Observability
from server.observation import Observation
from server.readiness import Readiness
from server.reloading import Reloaded
from server.scheduling import Lane
from server.service import SERVICE_NAME, PoemService
from server.supervision import supervise
from server.watchdog import Watchdog

_HEALTH_NAMES = ("", SERVICE_NAME)
_RETRY_POEM_MS, _RETRY_LOOKUP_MS = 500, 100
# Seconds for messages that are on their way, and for threads to see that they are to stop.
_LAST_WORDS = 1.0
_LOOK_EVERY = 0.02


class App:
    """A server with everything that it needs. Create and use it inside one event loop.

    Attributes:
        address: the bound HOST:PORT, after `listen`.
        catalog: what requests work with; a newer snapshot may be swapped in.
        index: what keeps the served index the published one.
        poems, lookups, checks: the lanes of work.
        observability: metrics and traces.
    """

    def __init__(self, config: Config, *, load: Callable[[Config], Snapshot] | None = None) -> None:
        """`load` makes the snapshot, in a thread; else `load_snapshot` does. Raises UnusableFile."""
        self._config = config
        self._load = load or load_snapshot
        self.catalog = Catalog()
        source = index_source(config)
        self.index = IndexWatch(
            self.catalog,
            published=source.published,
            load=source.load,
            patient=config.provider == "cpu" and config.milvus is None,
            unreachable=self._index_unreachable,
        )
        self.poems = _lane("poems", config, retry_after_ms=_RETRY_POEM_MS, crash=EngineStopped)
        self.lookups = _lane("lookups", config, retry_after_ms=_RETRY_LOOKUP_MS)
        self.checks = _lane("checks", config, retry_after_ms=_RETRY_LOOKUP_MS)
        self._readiness = Readiness(_HEALTH_NAMES, self._lanes)
        self.observability = Observability(config)
        self._server = self._assemble()
        self._watchdog: Watchdog | None = None
        self.address = ""

    def _assemble(self) -> grpc.aio.Server:
        methods = Methods([Observation(self.observability.observers), Boundary()], self._gate())
        service = PoemService(
            self.catalog,
            poems=self.poems,
            lookups=self.lookups,
            checks=self.checks,
            max_message_bytes=self._config.max_message_bytes,
            line_choices=self._config.line_choices,
            line_similarity=self._config.line_similarity,
        )
        poem_service_pb2_grpc.add_PoemServiceServicer_to_server(service, methods)
        # Its types want a whole server; the function calls what `Methods` has.
        health_pb2_grpc.add_HealthServicer_to_server(
            self._readiness.servicer, cast("grpc.aio.Server", methods)
        )
        if self._config.admin:
            self._add_admin(methods)
        if self._config.reflection:
            names = (
                SERVICE_NAME,
                *([ADMIN_SERVICE_NAME] if self._config.admin else []),
                health.SERVICE_NAME,
                reflection.SERVICE_NAME,
            )
            servicer = reflection.aio.ReflectionServicer(names)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, methods)
        return transport.new_server(self._config, methods)

    def _gate(self) -> Gate | None:
        if self._config.tokens is None:
            return None
        return Gate(Reloaded([self._config.tokens], partial(tokens.read, self._config.tokens)))

    def _add_admin(self, methods: Methods) -> None:
        config = self._config
        rebuilder = Rebuilder(root=config.index, encoder=config.encoder, provider=config.provider)
        service = IndexAdminService(self.catalog, self.index, rebuilder, root=config.index)
        index_admin_service_pb2_grpc.add_IndexAdminServiceServicer_to_server(service, methods)

    async def _index_unreachable(self, why: str) -> None:
        await self._readiness.index_unreachable(why)

    async def listen(self) -> None:
        """Open the port, NOT_SERVING. Raises CannotListen, CannotObserve or UnusableFile."""
        self.observability.start(
            self.catalog, lanes=[lane.admission for lane in self._lanes], index=self.index.counters
        )
        await self._readiness.loading()
        self.address = transport.open_port(self._server, self._config)
        await self._server.start()

    async def make_ready(self) -> None:
        """Load and warm up off the event loop, then serve. Raises what loading raises."""
        started = time.perf_counter()
        snapshot = await asyncio.to_thread(self._load, self._config)
        await asyncio.to_thread(warm_up, snapshot)
        self.catalog.swap(snapshot)
        await self._readiness.loaded()
        self._watchdog = supervise(self._config, self._readiness, self.catalog, self._lanes)
        if self._config.index_poll:
            self.index.start(self._config.index_poll)
        telemetry.event(
            "serving",
            address=self.address,
            metrics=self.observability.metrics_address or "none",
            **facts(snapshot),
            int8=self._config.int8 and is_of_use(self._config.provider),
            seconds=time.perf_counter() - started,
        )

    async def drain(self) -> None:
        """Stop in good order; returns when nothing runs any more."""
        telemetry.event("draining", grace_seconds=self._config.grace)
        self._stop_watching()
        await self._readiness.drain()
        await asyncio.sleep(self._config.drain_wait)
        self._readiness.refuse()
        # Connections are told to go elsewhere now; what they have here goes on.
        stopped = asyncio.ensure_future(self._server.stop(self._config.grace + _LAST_WORDS))
        if not await self._idle(self._config.grace):
            for lane in self._lanes:
                lane.abort(Draining)
        # Not the whole grace period: what still watches our health would keep us that long.
        await self.stop(_LAST_WORDS)
        await stopped
        telemetry.event("stopped")

    async def stop(self, grace: float | None = None) -> None:
        """Stop at once, or when what runs has ended but `grace` seconds from now at the latest."""
        self._stop_watching()
        await self._server.stop(grace)
        self.index.close()
        await self.observability.close()
        for lane in self._lanes:
            lane.shutdown()

    async def let_go(self) -> bool:
        """Whether all threads have let go of their work, or do so soon; one that hangs never does."""
        return await self._idle(_LAST_WORDS)

    async def _idle(self, seconds: float) -> bool:
        """Whether nothing is left to do, now or within so many seconds."""
        end = time.monotonic() + seconds
        while any(lane.busy for lane in self._lanes):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK_EVERY)
        return True

    @property
    def _lanes(self) -> tuple[Lane, ...]:
        return self.poems, self.lookups, self.checks

    def _stop_watching(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()


def _lane(name: str, config: Config, *, retry_after_ms: int, crash: type[Exception] | None = None) -> Lane:
    return Lane(
        name,
        workers=config.workers,
        waiting=config.waiting,
        client_streams=config.client_streams,
        retry_after_ms=retry_after_ms,
        crash=crash,
    )
