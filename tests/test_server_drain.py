"""Stopping in good order: who hears what, and when the server is gone."""

from __future__ import annotations

import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes import PICTURE, eventually
from gated import gated
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from serving import reason_of

CODE = grpc.StatusCode
REQUEST = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_QIJUE)
LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)
STATUS = health_pb2.HealthCheckResponse


def watch(running):
    return health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())


def refused(running):
    """Whether a lookup is refused, as one must be while draining."""
    call = running.stub.LookupKeywords.future(LOOKUP)
    return call.exception(timeout=5) is not None and call.code() == CODE.UNAVAILABLE


def test_draining_finishes_what_runs_and_what_waits_and_refuses_what_is_new(serve):
    running, poet = gated(serve, workers=1, drain_wait=0.3)
    health = watch(running)
    assert next(health).status == STATUS.SERVING
    running_poem = running.stub.ComposePoem(REQUEST)
    next(running_poem)
    waiting_poem = running.stub.ComposePoem(REQUEST)
    assert eventually(lambda: running.app.poems.admission.waiting == 1)
    stopped = running.begin(running.app.drain())
    # The balancer hears of it while the server still takes work.
    assert next(health).status == STATUS.NOT_SERVING
    assert running.stub.LookupKeywords(LOOKUP).keywords
    assert eventually(lambda: refused(running))
    assert not stopped.done()
    poet.let(200)
    for poem in (running_poem, waiting_poem):
        assert list(poem)[-1].WhichOneof("event") == "finished"
    # Whoever watches our health does not keep us: far below the grace period of 5 s.
    stopped.result(4)


def test_new_work_on_a_stopping_server_is_told_so(serve):
    running, _ = gated(serve)
    running.app.poems.close()
    with pytest.raises(grpc.RpcError) as caught:
        list(running.stub.ComposePoem(REQUEST))
    assert (caught.value.code(), reason_of(caught.value)) == (CODE.UNAVAILABLE, "DRAINING")


def test_the_grace_period_ends_poems_that_take_too_long_and_they_hear_why(serve):
    running, poet = gated(serve, workers=1, grace=0.2)
    begun = running.stub.ComposePoem(REQUEST)
    assert next(begun).WhichOneof("event") == "retrieved"
    waiting = running.stub.ComposePoem(REQUEST)
    assert eventually(lambda: running.app.poems.admission.waiting == 1)
    stopped = running.begin(running.app.drain())
    for poem in (begun, waiting):
        with pytest.raises(grpc.RpcError) as caught:
            list(poem)
        assert (caught.value.code(), reason_of(caught.value)) == (CODE.UNAVAILABLE, "DRAINING")
    assert poet.stopped()
    stopped.result(10)
    poet.let(1)
    assert poet.ended.wait(5)


def test_an_old_connection_is_made_anew_and_no_call_fails(serve):
    running = serve(connection_age=0.3, connection_grace=5.0)
    states = []
    running.channel.subscribe(states.append)

    def made_anew():
        assert list(running.stub.ComposePoem(REQUEST))[-1].WhichOneof("event") == "finished"
        return states.count(grpc.ChannelConnectivity.READY) >= 3

    assert eventually(made_anew)


def test_an_idle_server_is_gone_at_once(serve):
    running, _ = gated(serve, grace=60.0)
    health = watch(running)
    next(health)
    started = time.monotonic()
    running.run(running.app.drain())
    assert time.monotonic() - started < 10
