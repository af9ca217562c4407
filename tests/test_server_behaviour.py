"""What callers of a busy, starting or stopping server see, and that nobody who left keeps a place."""

from __future__ import annotations

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes import PICTURE, FakePoet, eventually, snapshot
from gated import gated
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from serving import reason_of

CODE = grpc.StatusCode
REQUEST = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_QIJUE)
LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)
STATUS = health_pb2.HealthCheckResponse


def health_of(running):
    return health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest()).status


def kind_of(message):
    return message.WhichOneof("event")


def test_each_character_arrives_before_the_next_is_written(serve):
    running, poet = gated(serve)
    events = running.stub.ComposePoem(REQUEST)
    assert kind_of(next(events)) == "retrieved"
    for step in range(1, 6):
        poet.let(1)
        assert next(events).token.position == step - 1
        assert poet.steps == step
    poet.let(100)
    assert kind_of(list(events)[-1]) == "finished"


@pytest.mark.parametrize("how", ["cancel", "deadline", "disconnect"])
def test_who_leaves_frees_the_place_within_one_step(serve, how):
    running, poet = gated(serve)
    channel = grpc.insecure_channel(running.target)
    stub = type(running.stub)(channel)
    events = stub.ComposePoem(REQUEST, timeout=1.0 if how == "deadline" else None)
    poet.let(3)
    assert [kind_of(next(events)) for _ in range(4)] == ["retrieved", "token", "token", "token"]
    for _ in range(4):
        assert poet.waiting.acquire(timeout=5)
    assert running.app.poems.admission.in_use == 1

    if how == "cancel":
        events.cancel()
    elif how == "disconnect":
        channel.close()
    assert eventually(poet.stopped)
    # The place is still taken: the thread has not ended yet.
    assert running.app.poems.admission.in_use == 1
    poet.let(1)
    assert poet.ended.wait(5)
    assert eventually(lambda: running.app.poems.admission.in_use == 0)
    assert poet.steps == 3
    channel.close()


def test_who_leaves_before_a_worker_was_free_frees_the_place_at_once(serve):
    running, poet = gated(serve, workers=1, waiting=3)
    first = running.stub.ComposePoem(REQUEST)
    assert poet.waiting.acquire(timeout=5)
    others = [running.stub.ComposePoem(REQUEST) for _ in range(3)]
    assert eventually(lambda: running.app.poems.admission.in_use == 4)
    for call in others:
        call.cancel()
    assert eventually(lambda: running.app.poems.admission.in_use == 1)
    poet.let(100)
    assert kind_of(list(first)[-1]) == "finished"
    assert poet.steps == 28


def test_a_full_house_refuses_with_a_time_to_come_again(serve):
    running, poet = gated(serve, workers=1, waiting=1)
    calls = [running.stub.ComposePoem(REQUEST) for _ in range(2)]
    assert eventually(lambda: running.app.poems.admission.in_use == 2)
    with pytest.raises(grpc.RpcError) as caught:
        list(running.stub.ComposePoem(REQUEST))
    assert (caught.value.code(), reason_of(caught.value)) == (CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert int(dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    # Lookups have their own places.
    assert running.stub.LookupKeywords(LOOKUP).keywords
    poet.let(100)
    assert [kind_of(list(call)[-1]) for call in calls] == ["finished", "finished"]
    assert kind_of(list(running.stub.ComposePoem(REQUEST))[-1]) == "finished"


def test_serving_only_after_the_warm_up(serve):
    go = threading.Event()
    poet = FakePoet()

    def load(config):
        assert go.wait(10)
        return snapshot({"t5": poet})

    running = serve(load=load, late=True)
    ready = running.make_ready()
    assert health_of(running) == STATUS.NOT_SERVING
    for method, request in (("LookupKeywords", LOOKUP), ("GetServerInfo", pb.GetServerInfoRequest())):
        with pytest.raises(grpc.RpcError) as caught:
            getattr(running.stub, method)(request)
        assert (caught.value.code(), reason_of(caught.value)) == (CODE.UNAVAILABLE, "NOT_READY")
    go.set()
    ready.result(10)
    assert poet.ended.is_set()
    assert health_of(running) == STATUS.SERVING


def test_a_request_keeps_its_snapshot_while_a_newer_one_is_swapped_in(serve):
    running, poet = gated(serve)
    events = running.stub.ComposePoem(REQUEST)
    assert next(events).retrieved.index_version == "index-1"
    running.app.catalog.swap(snapshot(version="index-2"))
    assert running.stub.LookupKeywords(LOOKUP).index_version == "index-2"
    poet.let(100)
    assert list(events)[-1].finished.index_version == "index-1"
