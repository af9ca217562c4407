"""No request crashes the server, and none is answered by INTERNAL or a status that is no answer.

In CI a thousand random requests go to a server of fakes that decodes pictures and resolves rules as a real
one does. The long run sends more, and to a real server:

    make index
    python -m server --listen 127.0.0.1:50051 &
    IMAGE2POEM_FUZZ=20000 IMAGE2POEM_FUZZ_TARGET=127.0.0.1:50051 python -m pytest -q tests/test_fuzz.py
"""

from __future__ import annotations

import os
from collections import Counter

import grpc
import pytest
from hypothesis import HealthCheck, given, settings

import fuzzing
from fakes import CHARACTERS, FakeEncoder, FakePoet, snapshot
from fuzzing import Call
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc
from models.image import ImageSpec, decode_image, to_pixels
from models.prosody import LengthsOnly, Regulated
from models.prosody.lexicon import Endings, Lexicon
from server.catalog import Snapshot
from serving import RunningServer

CODE = grpc.StatusCode
ANSWERS = {CODE.OK, CODE.INVALID_ARGUMENT, CODE.NOT_FOUND}
EXAMPLES = int(os.environ.get("IMAGE2POEM_FUZZ", "1000"))
TARGET = os.environ.get("IMAGE2POEM_FUZZ_TARGET")
# The server itself does not let Pillow warn, see server.loading.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
SPEC = ImageSpec(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)


class SeeingEncoder(FakeEncoder):
    """Decodes pictures as a real one does."""

    def encode_pictures(self, pictures):
        for data in pictures:
            to_pixels(decode_image(data, draft=SPEC.size), SPEC)
        return super().encode_pictures([b"picture" for _ in pictures])


class LawfulPoet(FakePoet):
    """Resolves rules as a real one does, and keeps none."""

    forms = ("wujue", "qijue", "wulv", "qilv")

    def constraint(self, form, rules):
        if not rules.regulated:
            return LengthsOnly(form, CHARACTERS, rules.fixed)
        return Regulated(form, rules, Lexicon(CHARACTERS, rules.rhymes, Endings(CHARACTERS)))


@pytest.fixture(scope="module")
def channel():
    options = [("grpc.enable_http_proxy", 0)]
    if TARGET:
        with grpc.insecure_channel(TARGET, options) as channel:
            yield channel
        return

    def load(config):
        whole = snapshot({"t5": LawfulPoet("t5"), "gpt2": LawfulPoet("gpt2")})
        return Snapshot(index=whole.index, encoder=SeeingEncoder(), poets=whole.poets)

    with RunningServer(load) as running:
        yield running.channel


@pytest.fixture(scope="module")
def seen():
    """How many calls ended with each status: most should get past the first check."""
    seen = Counter()
    yield seen
    print(f"\nfuzzing: {dict(seen)}")


def send(channel, call: Call):
    """The status of a call, whose request may be no message at all."""
    path = f"/image2poem.v1.PoemService/{call.method}"
    data = call.request if isinstance(call.request, bytes) else call.request.SerializeToString()
    stub = channel.unary_stream if call.method == "ComposePoem" else channel.unary_unary
    try:
        response = stub(path, None, None)(data, timeout=120)
        if call.method == "ComposePoem":
            assert pb.ComposePoemResponse.FromString(list(response)[-1]).HasField("finished")
    except grpc.RpcError as error:
        reason = dict(error.trailing_metadata() or ()).get("image2poem-reason")
        return error.code(), reason, error.details()
    return CODE.OK, "", ""


def ok(seen):
    return sum(count for (_, code), count in seen.items() if code == CODE.OK.name)


def fuzz(channel, seen, share, strategy, *, least_ok):
    """Send a share of all examples."""
    before = ok(seen)
    examples = max(10, int(EXAMPLES * share))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=EXAMPLES == 1000,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(call):
        code, reason, details = send(channel, call)
        seen[call.method, code.name] += 1
        assert code in ANSWERS, (code, reason, details)
        assert code == CODE.OK or reason

    each()
    assert ok(seen) - before >= least_ok * examples
    assert send(channel, Call("LookupKeywords", pb.LookupKeywordsRequest(text="秋江")))[0] == CODE.OK


def test_damaged_pictures(channel, seen):
    fuzz(channel, seen, 0.5, fuzzing.picture_lookups(), least_ok=0.1)


def test_lookups(channel, seen):
    info = poem_service_pb2_grpc.PoemServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest())
    fuzz(channel, seen, 0.12, fuzzing.lookups(info.encoder.dimension), least_ok=0.1)


def test_compositions(channel, seen):
    # A real poem takes its time.
    strategy = fuzzing.compositions(most_candidates=2 if TARGET else 17)
    fuzz(channel, seen, 0.15, strategy, least_ok=0.1)


def test_checks(channel, seen):
    fuzz(channel, seen, 0.12, fuzzing.checks, least_ok=0.2)


def test_bytes_that_are_no_message(channel, seen):
    fuzz(channel, seen, 0.11, fuzzing.garbled(), least_ok=0.0)
