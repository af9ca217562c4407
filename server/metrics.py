"""Prometheus metrics: what requests took, as they go on, and how the server stands, whenever it is asked.

Times are in seconds. An endpoint serves them over HTTP on a port of its own, from threads of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import server
from server.catalog import Catalog, NotReady, Snapshot
from server.index_watch import IndexCounters
from server.telemetry import Request

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STEPS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
# Shown before they happen: the first of a series that was not there before is no increase to Prometheus.
_REFUSALS = ("corrupt", "foreign_encoder", "missing", "unreachable", "unreadable", "failed")
_METHODS = ("ComposePoem", "LookupKeywords")
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Lane(Protocol):
    """Places for one kind of work."""

    name: str
    places: int

    @property
    def running(self) -> int: ...

    @property
    def waiting(self) -> int: ...


class Metrics:
    """An observer of requests, with a registry of its own.

    Attributes:
        registry: everything that the endpoint shows.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        lanes: Iterable[Lane] = (),
        index: IndexCounters | None = None,
    ) -> None:
        """What is read at each look: the snapshot, `lanes` and what happened to the `index`."""
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(_State(catalog, tuple(lanes), index))
        self._requests = Counter(
            "image2poem_requests", "Calls that ended", ("service", "method", "code"), registry=registry
        )
        self._running = Gauge(
            "image2poem_requests_in_flight", "Calls that run or wait", ("method",), registry=registry
        )

        def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(f"image2poem_{name}_seconds", text, labels, buckets=buckets, registry=registry)

        self._duration = histogram("request", "Call to end, whatever the end", "method")
        self._queue = histogram("queue", "Call to the beginning of its work", "method")
        self._stage = histogram("stage", "A stage of the work", "method", "stage")
        self._first_token = histogram("first_token", "Call to the first character sent")
        self._inter_token = histogram(
            "inter_token", "Between characters sent of the first candidate", buckets=_STEPS
        )
        self._tokens = Counter("image2poem_tokens", "Characters sent, of all candidates", registry=registry)
        self._poems = Counter(
            "image2poem_poems", "Poems that were finished", ("poet", "form"), registry=registry
        )
        for method in _METHODS:
            for family in (self._running, self._duration, self._queue):
                family.labels(method)

    def began(self, request: Request, metadata: Mapping[str, str]) -> None:
        self._running.labels(request.method).inc()

    def sent(self, request: Request, message: Any) -> None:
        if request.method == "ComposePoem":
            match message.WhichOneof("event"):
                case "token":
                    self._count_token(request, message.token.candidate)
                case "finished":
                    notes = request.notes
                    self._poems.labels(notes.get("poet", ""), notes.get("form", "")).inc()

    def ended(self, request: Request) -> None:
        self._running.labels(request.method).dec()
        self._requests.labels(request.service, request.method, request.code).inc()
        self._duration.labels(request.method).observe(request.seconds)
        for stage, began, ended in request.laps.laps if request.laps else ():
            if stage == "queue":
                self._queue.labels(request.method).observe(ended - began)
            else:
                self._stage.labels(request.method, stage).observe(ended - began)

    def _count_token(self, request: Request, candidate: int) -> None:
        now = time.perf_counter()
        self._tokens.inc()
        if not request.tokens:
            self._first_token.observe(now - request.began)
        request.tokens += 1
        if candidate == 0:
            if request.last_token is not None:
                self._inter_token.observe(now - request.last_token)
            request.last_token = now


class Endpoint:
    """The page that Prometheus reads, over HTTP. Raises OSError where the address is taken.

    Attributes:
        address: the bound HOST:PORT.
    """

    def __init__(self, metrics: Metrics, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server, self._thread = start_http_server(
            int(port), addr=host.strip("[]"), registry=metrics.registry
        )
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _State(Collector):
    """What is read when somebody looks, and kept nowhere."""

    def __init__(
        self,
        catalog: Catalog,
        lanes: tuple[Lane, ...],
        index: IndexCounters | None,
    ) -> None:
        self._catalog = catalog
        self._lanes = lanes
        self._index = index

    def collect(self) -> Iterator[Metric]:
        yield _info("image2poem", "The server", version=server.__version__)
        try:
            snapshot = self._catalog.current()
        except NotReady:
            snapshot = None
        yield GaugeMetricFamily(
            "image2poem_ready", "1 once models and index are loaded", snapshot is not None
        )
        if snapshot is not None:
            yield from _of_snapshot(snapshot)
            yield _of_batches(snapshot)
        yield from self._of_lanes()
        if self._index is not None:
            yield from _of_index(self._index)

    def _of_lanes(self) -> Iterator[Metric]:
        for fact, text in (
            ("running", "Requests that are worked on"),
            ("waiting", "Requests that wait for their turn"),
            ("places", "Requests that there is room for, running and waiting"),
        ):
            family = GaugeMetricFamily(f"image2poem_lane_{fact}", text, labels=["lane"])
            for lane in self._lanes:
                family.add_metric([lane.name], getattr(lane, fact))
            yield family


def _of_batches(snapshot: Snapshot) -> Metric:
    family = HistogramMetricFamily(
        "image2poem_batch_rows", "What shares a run of a model", labels=["model", "work"]
    )
    for model, work, sizes in _batch_sizes(snapshot):
        buckets = [(str(limit), sum(n for rows, n in sizes.items() if rows <= limit)) for limit in _ROWS]
        buckets.append(("+Inf", sum(sizes.values())))
        family.add_metric([model, work], buckets, sum(rows * n for rows, n in sizes.items()))
    return family


def _batch_sizes(snapshot: Snapshot) -> Iterator[tuple[str, str, Mapping[int, int]]]:
    """(model, kind of work, rows in a run → how many runs had so many)."""
    # Copies at once: other threads count on.
    for work, stats in snapshot.encoder.stats.items():
        yield snapshot.encoder.name, work, dict(stats.sizes)
    for name, poet in snapshot.poets.items():
        yield name, "read", dict(poet.stats.reads.sizes)
        yield name, "step", dict(poet.stats.steps.sizes)


def _of_index(counters: IndexCounters) -> Iterator[Metric]:
    reloads = CounterMetricFamily(
        "image2poem_index_reloads", "Versions that took the index's place or were refused", labels=["result"]
    )
    reloads.add_metric(["swapped"], counters.swaps)
    for reason, count in (dict.fromkeys(_REFUSALS, 0) | dict(counters.refusals)).items():
        reloads.add_metric([reason], count)
    yield reloads
    yield GaugeMetricFamily(
        "image2poem_index_load_seconds", "What loading the latest version took", counters.load_seconds
    )
    yield GaugeMetricFamily(
        "image2poem_index_retired", "Replaced versions that a request still holds", counters.retired
    )


def _of_snapshot(snapshot: Snapshot) -> Iterator[Metric]:
    index, encoder = snapshot.index, snapshot.encoder
    yield _info("image2poem_index", "The index in use", version=index.version, kind=index.kind)
    yield GaugeMetricFamily("image2poem_index_keywords", "Keywords in the index in use", index.count)
    family = GaugeMetricFamily("image2poem_provider_info", "Where a model runs", labels=["model", "provider"])
    for model, providers in [
        (encoder.name, encoder.providers),
        *((name, poet.providers) for name, poet in snapshot.poets.items()),
    ]:
        for provider in providers:
            family.add_metric([model, provider], 1)
    yield family


def _info(name: str, text: str, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"{name}_info", text, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family
