"""Whether the server takes work: what its health says, and whether its lanes are open.

It does once the models are loaded, while its workers are well, and until it is told to stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from grpc_health.v1 import health, health_pb2

from server import telemetry
from server.admission import Unhealthy
from server.scheduling import Lane

_STATUS = health_pb2.HealthCheckResponse


class Readiness:
    """Use it on the event loop.

    Attributes:
        servicer: gRPC's health service.
    """

    def __init__(self, names: Iterable[str], lanes: Sequence[Lane]) -> None:
        """`names`: of the services that health is asked for; empty for the server as a whole."""
        self.servicer = health.aio.HealthServicer()
        self._names = tuple(names)
        self._lanes = tuple(lanes)
        self._loaded = False
        self._fault = ""
        self._index_fault = ""
        self._draining = False

    async def loading(self) -> None:
        """NOT_SERVING, until `loaded`."""
        await self._tell()

    async def loaded(self) -> None:
        """SERVING, unless there is a fault."""
        self._loaded = True
        await self._tell()

    async def fault(self, why: str) -> None:
        """NOT_SERVING and no new work where there is a fault; both undone where `why` is empty."""
        if self._draining:
            return
        self._fault = why
        for lane in self._lanes:
            if why:
                lane.close(lambda: Unhealthy(f"a worker of the server is out of order: {why}"))
            else:
                lane.open()
        await self._tell()
        if why:
            telemetry.log.error("unhealthy", extra={"fields": {"why": why}})
        else:
            telemetry.event("healthy again")

    async def index_unreachable(self, why: str) -> None:
        """The services NOT_SERVING where the index cannot be reached; undone where `why` is empty.

        The server as a whole stays SERVING, for a fresh one would reach it no better; and work is taken, for
        poems of given keywords need no index.
        """
        self._index_fault = why
        await self._tell()
        if why:
            telemetry.log.error("index unreachable", extra={"fields": {"why": why}})
        else:
            telemetry.event("index reached again")

    async def drain(self) -> None:
        """NOT_SERVING for good; the lanes stay open until `refuse`."""
        self._draining = True
        await self.servicer.enter_graceful_shutdown()

    def refuse(self) -> None:
        """Take no new work any more."""
        for lane in self._lanes:
            lane.close()

    async def _tell(self) -> None:
        serving = self._loaded and not self._fault
        for name in self._names:
            well = serving and not (name and self._index_fault)
            await self.servicer.set(name, _STATUS.SERVING if well else _STATUS.NOT_SERVING)
