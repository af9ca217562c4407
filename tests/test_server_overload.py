"""What a busy server refuses, and whose turn it is."""

from __future__ import annotations

import threading

import grpc
import pytest

from fakes import PICTURE, eventually
from gated import gated
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from server.tokens import digest_of
from serving import reason_of

CODE = grpc.StatusCode
REQUEST = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_WUJUE)
STEPS = 20


def refusal(call):
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    error = caught.value
    pushback = dict(error.trailing_metadata()).get("grpc-retry-pushback-ms")
    return error.code(), reason_of(error), int(pushback) if pushback else None


def test_a_deadline_that_passes_in_the_queue_is_refused_at_once(serve):
    running, poet = gated(serve, workers=1, waiting=5)
    admission = running.app.poems.admission
    admission.service_seconds = 100.0
    begun = running.stub.ComposePoem(REQUEST)
    assert eventually(lambda: admission.running == 1)
    code, reason, pushback = refusal(running.stub.ComposePoem(REQUEST, timeout=30))
    assert (code, reason) == (CODE.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT")
    assert pushback == 30_000 or pushback > 10_000
    # Patience is rewarded.
    patient = running.stub.ComposePoem(REQUEST, timeout=300)
    poet.let(2 * STEPS)
    for poem in (begun, patient):
        assert list(poem)[-1].WhichOneof("event") == "finished"
    assert 0 < admission.service_seconds < 100.0


def test_one_client_has_only_so_many_streams(serve):
    running, poet = gated(serve, workers=1, waiting=5, client_streams=2)
    poems = [running.stub.ComposePoem(REQUEST) for _ in range(2)]
    assert eventually(lambda: running.app.poems.admission.in_use == 2)
    code, reason, pushback = refusal(running.stub.ComposePoem(REQUEST))
    assert (code, reason) == (CODE.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    assert pushback > 0
    poet.let(3 * STEPS)
    for poem in poems:
        assert list(poem)[-1].WhichOneof("event") == "finished"
    assert list(running.stub.ComposePoem(REQUEST))


def test_a_client_with_one_request_waits_for_one_of_anothers_not_for_all(serve, tmp_path):
    file = tmp_path / "tokens"
    file.write_text("".join(f"{name} compose {digest_of(name).hex()}\n" for name in ("greedy", "modest")))
    running, poet = gated(serve, workers=1, waiting=20, tokens=file)
    ended = []

    def compose(name):
        list(running.stub.ComposePoem(REQUEST, metadata=[("authorization", f"Bearer {name}")]))
        ended.append(name)

    def start(name):
        thread = threading.Thread(target=compose, args=(name,))
        thread.start()
        return thread

    calls = [start("greedy") for _ in range(10)]
    assert eventually(lambda: running.app.poems.admission.in_use == 10)
    calls.append(start("modest"))
    assert eventually(lambda: running.app.poems.admission.in_use == 11)
    for count in range(1, 12):
        poet.let(STEPS)
        assert eventually(lambda count=count: len(ended) == count)
    # One ran, one was next; then it is another client's turn.
    assert ended.index("modest") <= 2
    for thread in calls:
        thread.join(5)


def test_one_poisonous_request_harms_no_other(serve):
    running, poet = gated(serve, workers=4, waiting=5)
    poison = pb.ComposePoemRequest(keywords=pb.KeywordList(words=["坏"]), form=poem_pb2.FORM_WUJUE)
    good = [running.stub.ComposePoem(REQUEST) for _ in range(2)]
    bad = running.stub.ComposePoem(poison)
    assert eventually(lambda: running.app.poems.admission.running == 3)
    poet.let(3 * STEPS)
    code, reason, _ = refusal(bad)
    assert (code, reason) == (CODE.INTERNAL, "INTERNAL")
    for poem in good:
        assert list(poem)[-1].WhichOneof("event") == "finished"
    assert eventually(lambda: running.app.poems.admission.in_use == 0)
