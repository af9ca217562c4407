"""Traces: a span per stage inside the call's, inside the caller's, and a collector that really gets them."""

from __future__ import annotations

import itertools
import sys
import time
from concurrent import futures

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fakes import PICTURE, FakePoet, eventually
from image2poem.v1 import poem_service_pb2 as pb
from server.catalog import Catalog
from server.config import Config
from server.observability import CannotObserve, Observability
from server.tracing import Traces

COMPOSE = pb.ComposePoemRequest(picture=PICTURE, seed=1)
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"),)


class Traced:
    """A server of fakes whose spans stay here."""

    def __init__(self, serve, **options):
        self.server = serve(**options)
        self._exporter = InMemorySpanExporter()
        self._traces = Traces(self._exporter)
        self.server.app.observability.observers.append(self._traces)

    def spans(self):
        """Those of the only call, once it has ended: the call's own, and its stages' by name."""
        assert eventually(lambda: not self._traces._spans)
        self._traces.close()
        *stages, call = self._exporter.get_finished_spans()
        return call, stages


def test_a_poem_is_a_span_with_one_for_each_stage(serve):
    traced = Traced(serve)
    list(traced.server.stub.ComposePoem(COMPOSE))
    call, stages = traced.spans()
    assert (call.name, call.kind) == ("image2poem.v1.PoemService/ComposePoem", SpanKind.SERVER)
    assert [span.name for span in stages] == ["queue", "encode", "search", "write", "rank"]
    assert all(span.parent.span_id == call.context.span_id for span in stages)
    assert call.start_time <= stages[0].start_time
    assert stages[-1].end_time <= call.end_time
    for before, after in itertools.pairwise(stages):
        assert after.start_time == before.end_time
    assert call.attributes["rpc.grpc.status_code"] == 0
    assert (call.attributes["image2poem.poet"], call.attributes["image2poem.form"]) == ("t5", "qijue")
    assert call.status.status_code is StatusCode.UNSET


def test_the_callers_trace_goes_on(serve):
    traced = Traced(serve)
    traced.server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE), metadata=TRACEPARENT)
    call, stages = traced.spans()
    assert f"{call.context.trace_id:032x}" == TRACE_ID
    assert f"{call.parent.span_id:016x}" == SPAN_ID
    assert [span.name for span in stages] == ["queue", "encode", "search"]


def test_a_caller_that_does_not_sample_is_obeyed(serve):
    traced = Traced(serve)
    metadata = (("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00"),)
    traced.server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE), metadata=metadata)
    with pytest.raises(ValueError, match="not enough values"):
        traced.spans()


@pytest.mark.parametrize("nonsense", ["", "00-zz-zz-01", "x" * 5000])
def test_nonsense_in_the_metadata_begins_a_new_trace(serve, nonsense):
    traced = Traced(serve)
    traced.server.stub.LookupKeywords(
        pb.LookupKeywordsRequest(picture=PICTURE), metadata=(("traceparent", nonsense),)
    )
    call, _ = traced.spans()
    assert call.parent is None


def test_a_poem_that_fails_ends_in_the_stage_where_it_failed(serve):
    traced = Traced(serve)
    with pytest.raises(grpc.RpcError):
        list(traced.server.stub.ComposePoem(pb.ComposePoemRequest(keywords=pb.KeywordList(words=["坏"]))))
    call, stages = traced.spans()
    assert [span.name for span in stages] == ["queue", "encode", "search", "write"]
    assert stages[-1].end_time <= call.end_time
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["image2poem.reason"] == "INTERNAL"


def test_a_wish_that_is_refused_is_the_callers_fault(serve):
    traced = Traced(serve)
    with pytest.raises(grpc.RpcError):
        traced.server.stub.LookupKeywords(pb.LookupKeywordsRequest())
    call, stages = traced.spans()
    assert (stages, call.status.status_code) == ([], StatusCode.UNSET)
    assert call.attributes["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self):
        self.resources = []

    def Export(self, request, context):
        self.resources.extend(request.resource_spans)
        return trace_service_pb2.ExportTraceServiceResponse()


def test_a_collector_gets_the_spans_and_the_servers_name(serve):
    collector, receiver = Collector(), grpc.server(futures.ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, receiver)
    port = receiver.add_insecure_port("127.0.0.1:0")
    receiver.start()
    try:
        running = serve(poets={"t5": FakePoet()}, traces=f"http://127.0.0.1:{port}")
        list(running.stub.ComposePoem(COMPOSE))
        running.run(running.app.observability.close())
    finally:
        receiver.stop(0)
    attributes = {pair.key: pair.value.string_value for pair in collector.resources[0].resource.attributes}
    assert (attributes["service.name"], attributes["service.version"]) == ("image2poem", "0.1.0")
    names = [s.name for r in collector.resources for scope in r.scope_spans for s in scope.spans]
    assert {"image2poem.v1.PoemService/ComposePoem", "write", "rank"} <= set(names)


def test_a_collector_that_is_away_holds_up_nothing(serve, monkeypatch):
    monkeypatch.setattr("server.observability._LAST_SPANS", 0.1)
    running = serve(poets={"t5": FakePoet()}, traces="http://127.0.0.1:9")
    [*_, last] = running.stub.ComposePoem(COMPOSE)
    assert last.HasField("finished")
    began = time.monotonic()
    running.run(running.app.observability.close())
    # OpenTelemetry alone would try for ten seconds.
    assert time.monotonic() - began < 5


def test_without_the_library_it_is_one_clear_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "server.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    observability = Observability(Config(traces="http://127.0.0.1:9"))
    with pytest.raises(CannotObserve, match="traces need OpenTelemetry: pip install"):
        observability.start(Catalog(), lanes=[])
