"""What watches the server from outside, as it was asked for: metrics, traces, both or neither.

Nothing of what was not asked for is imported.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from server.catalog import Catalog
from server.config import Config
from server.index_watch import IndexCounters
from server.telemetry import Observer

if TYPE_CHECKING:
    from server.metrics import Endpoint, Lane
    from server.tracing import Traces

# Seconds for the traces that are left when the server stops.
_LAST_SPANS = 3.0


class CannotObserve(Exception):
    """The address for metrics is taken or not ours, or traces lack their library."""


class Observability:
    """Metrics and traces of one server.

    Attributes:
        observers: to be told of every call; filled by `start`.
        metrics_address: the bound HOST:PORT, after `start`; empty without metrics.
    """

    def __init__(self, config: Config) -> None:
        self.observers: list[Observer] = []
        self.metrics_address = ""
        self._config = config
        self._endpoint: Endpoint | None = None
        self._traces: Traces | None = None

    def start(
        self,
        catalog: Catalog,
        *,
        lanes: Iterable[Lane],
        index: IndexCounters | None = None,
    ) -> None:
        """Begin to observe. Raises CannotObserve."""
        if self._config.traces:
            self._start_traces(self._config.traces)
        if self._config.metrics:
            from server.metrics import Endpoint, Metrics

            metrics = Metrics(catalog, lanes=lanes, index=index)
            try:
                self._endpoint = Endpoint(metrics, self._config.metrics)
            except OSError as error:
                raise CannotObserve(f"cannot show metrics on {self._config.metrics}: {error}") from error
            self.metrics_address = self._endpoint.address
            self.observers.append(metrics)

    def _start_traces(self, endpoint: str) -> None:
        try:
            from server.tracing import Traces, otlp_exporter
        except ImportError as error:
            raise CannotObserve(str(error)) from error
        self._traces = Traces(otlp_exporter(endpoint))
        self.observers.append(self._traces)

    async def close(self) -> None:
        """Show no more metrics, and send the traces that are left. May be called again."""
        endpoint, traces = self._endpoint, self._traces
        self._endpoint = self._traces = None
        if endpoint is not None:
            # Its thread looks twice a second whether it is to end; nobody need wait for that.
            threading.Thread(target=endpoint.close, daemon=True).start()
        if traces is not None:
            # A collector that is away would hold the process for as long as it is tried.
            sending = threading.Thread(target=traces.close, daemon=True)
            sending.start()
            await asyncio.to_thread(sending.join, _LAST_SPANS)
