"""OpenTelemetry: a span for each call, inside its caller's where the metadata name one, and one per stage.

Stages are timed anyway (`Clock`); their spans are made from those times when the call has ended, so that
nothing is added to the work itself. Without `--traces` nothing of this is imported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

try:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ImportError('traces need OpenTelemetry: pip install ".[tracing]"') from error

import server
from server.telemetry import Request

# In the order in which a poem goes through them; a lookup ends after the third.
STAGES = ("queue", "encode", "search", "write", "rank")

_SERVER_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


class Traces:
    """An observer of requests that makes their spans.

    Sampling, resource attributes, batching and the exporter's headers follow OpenTelemetry's own variables
    (OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…, OTEL_EXPORTER_OTLP_…).
    """

    def __init__(self, exporter: SpanExporter) -> None:
        resource = Resource.create({SERVICE_NAME: "image2poem", SERVICE_VERSION: server.__version__})
        # Last, so that what the variables say goes before.
        self._provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("image2poem.server", server.__version__)
        self._propagator = TraceContextTextMapPropagator()
        self._spans: dict[int, tuple[trace.Span, int]] = {}

    def began(self, request: Request, metadata: Mapping[str, str]) -> None:
        epoch = time.time_ns() - _nanoseconds(time.perf_counter())
        span = self._tracer.start_span(
            f"{request.service}/{request.method}",
            context=self._propagator.extract(metadata),
            kind=SpanKind.SERVER,
            start_time=epoch + _nanoseconds(request.began),
            attributes={
                "rpc.system": "grpc",
                "rpc.service": request.service,
                "rpc.method": request.method,
                "image2poem.request_id": request.id,
            },
        )
        self._spans[id(request)] = span, epoch
        if span.get_span_context().is_valid:
            request.notes["trace_id"] = trace.format_trace_id(span.get_span_context().trace_id)

    def sent(self, request: Request, message: Any) -> None:
        """Nothing: an event for each character would weigh more than the poem."""

    def ended(self, request: Request) -> None:
        span, epoch = self._spans.pop(id(request))
        if span.is_recording():
            ended = request.began + request.seconds
            context = trace.set_span_in_context(span)
            for stage, began, until in _stages(request, ended):
                start = epoch + _nanoseconds(began)
                child = self._tracer.start_span(stage, context=context, start_time=start)
                child.end(epoch + _nanoseconds(until))
            span.set_attributes(_attributes(request))
            if request.code in _SERVER_FAULTS:
                span.set_status(StatusCode.ERROR, request.code)
            span.end(epoch + _nanoseconds(ended))

    def close(self) -> None:
        """Send what is left, for as long as the exporter's timeout allows."""
        self._provider.shutdown()


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans by OTLP over gRPC to http://HOST:PORT, or https:// with TLS."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint)


def _stages(request: Request, ended: float) -> Iterator[tuple[str, float, float]]:
    """The stages of a call, and the one in which it failed or was left."""
    laps = list(request.laps.laps) if request.laps else []
    yield from laps
    if laps and request.code != "OK" and len(laps) < len(STAGES):
        yield STAGES[len(laps)], laps[-1][2], ended


def _attributes(request: Request) -> dict[str, Any]:
    facts = ("index_version", "poet", "form", "candidates", "reason")
    return {
        "rpc.grpc.status_code": _CODES.index(request.code) if request.code in _CODES else 2,
        **{f"image2poem.{name}": request.notes[name] for name in facts if name in request.notes},
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
