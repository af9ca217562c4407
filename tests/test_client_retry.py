"""When the clients call again, and that a poem that has begun is never begun again."""

from __future__ import annotations

import asyncio
import math
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

import image2poem
from fakes import PICTURE, GatedPoet, eventually
from image2poem import AsyncClient, Client, Finished, Retry
from image2poem.errors import Image2PoemError, Overloaded, Unavailable, from_status
from image2poem.retry import Attempts
from image2poem.v1 import poem_pb2, poem_service_pb2_grpc
from image2poem.v1 import poem_service_pb2 as pb

QUICK = Retry(wait=0.0, longest_wait=0.0)
POEM = [
    pb.ComposePoemResponse(token=poem_pb2.Token(text="春")),
    pb.ComposePoemResponse(finished=poem_pb2.Finished(poem=["春"])),
]
PUSHBACK = (("image2poem-reason", "OVERLOADED"), ("grpc-retry-pushback-ms", "30"))


class Scripted(poem_service_pb2_grpc.PoemServiceServicer):
    """Fails as often as the script says, each time after so many events, with this status and metadata."""

    def __init__(self) -> None:
        self.script: list[tuple[int, grpc.StatusCode, tuple[tuple[str, str], ...]]] = []
        self.calls = 0

    def ComposePoem(self, request, context):
        self.calls += 1
        failure = self.script.pop(0) if self.script else None
        yield from POEM[: failure[0] if failure else None]
        if failure:
            self._fail(failure, context)

    def GetServerInfo(self, request, context):
        self.calls += 1
        if self.script:
            self._fail(self.script.pop(0), context)
        return pb.GetServerInfoResponse(server_version="9")

    def _fail(self, failure, context):
        _, code, metadata = failure
        context.set_trailing_metadata(metadata)
        context.abort(code, "as the script says")


@pytest.fixture
def scripted():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = Scripted()
    poem_service_pb2_grpc.add_PoemServiceServicer_to_server(service, server)
    service.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(0).wait()


def compose(target: str, stack: str, retry: Retry | None) -> list[image2poem.Event]:
    """The events by the client of this stack."""
    if stack == "sync":
        with Client(target, timeout=20, retry=retry) as client:
            return list(client.compose(text="春"))

    async def talk() -> list[image2poem.Event]:
        async with AsyncClient(target, timeout=20, retry=retry) as client:
            return [event async for event in client.compose(text="春")]

    return asyncio.run(talk())


def info(target: str, stack: str, retry: Retry | None) -> image2poem.ServerInfo:
    if stack == "sync":
        with Client(target, timeout=20, retry=retry) as client:
            return client.info()

    async def talk() -> image2poem.ServerInfo:
        async with AsyncClient(target, timeout=20, retry=retry) as client:
            return await client.info()

    return asyncio.run(talk())


both = pytest.mark.parametrize("stack", ["sync", "async"])


@both
def test_a_server_that_is_away_or_busy_is_called_again(scripted, stack):
    scripted.script = [
        (0, grpc.StatusCode.UNAVAILABLE, ()),
        (0, grpc.StatusCode.RESOURCE_EXHAUSTED, PUSHBACK),
    ]
    events = compose(scripted.target, stack, QUICK)
    assert isinstance(events[-1], Finished)
    assert scripted.calls == 3
    scripted.script = [(0, grpc.StatusCode.UNAVAILABLE, ())]
    assert info(scripted.target, stack, QUICK).server_version == "9"
    assert scripted.calls == 5


@both
def test_a_poem_that_has_begun_is_never_begun_again(scripted, stack):
    scripted.script = [(1, grpc.StatusCode.UNAVAILABLE, PUSHBACK)]
    with pytest.raises(Unavailable):
        compose(scripted.target, stack, QUICK)
    assert scripted.calls == 1


@both
@pytest.mark.parametrize(
    ("code", "metadata", "kind"),
    [
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            (("image2poem-reason", "INVALID_OPTION"),),
            image2poem.InvalidOption,
        ),
        (grpc.StatusCode.INTERNAL, (), image2poem.ServerError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, (), image2poem.RequestTooLarge),
        (grpc.StatusCode.UNAVAILABLE, (("grpc-retry-pushback-ms", "-1"),), Unavailable),
    ],
    ids=["wrong", "defect", "too large", "asked not to"],
)
def test_what_would_fail_again_is_not_tried_again(scripted, stack, code, metadata, kind):
    scripted.script = [(0, code, metadata)]
    with pytest.raises(kind):
        compose(scripted.target, stack, QUICK)
    assert scripted.calls == 1


@both
def test_attempts_come_to_an_end(scripted, stack):
    scripted.script = [(0, grpc.StatusCode.UNAVAILABLE, ())] * 9
    with pytest.raises(Unavailable):
        compose(scripted.target, stack, QUICK)
    assert scripted.calls == QUICK.attempts
    with pytest.raises(Unavailable):
        info(scripted.target, stack, None)
    assert scripted.calls == QUICK.attempts + 1


def test_the_servers_word_counts_and_the_timeout_does():
    told: list[float] = []
    retry = Retry(attempts=9, wait=1.0, longest_wait=4.0, on_wait=lambda error, seconds: told.append(seconds))
    attempts = Attempts(retry, 100)
    assert 99 < attempts.timeout() <= 100
    assert 0.5 <= attempts.wait_after(Overloaded("busy", retry_after=0.5)) <= 0.625
    for least in (1 * 2, 4, 4):
        attempts.timeout()
        assert least <= attempts.wait_after(Unavailable("away")) <= least * 1.25
    assert len(told) == 4
    for retry_after in (100.0, math.inf):
        with pytest.raises(Overloaded):
            attempts.wait_after(Overloaded("busy", retry_after=retry_after))
    assert Attempts(retry, None).timeout() is None


@pytest.mark.parametrize("options", [{"attempts": 0}, {"wait": -1.0}, {"wait": 2.0, "longest_wait": 1.0}])
def test_impossible_waits_are_refused(options):
    with pytest.raises(ValueError, match="attempts"):
        Retry(**options)


@pytest.mark.parametrize(
    ("pushback", "seconds"), [("1500", 1.5), ("0", 0.0), ("-1", math.inf), ("soon", math.inf)]
)
def test_pushback_as_grpc_defines_it(pushback, seconds):
    error = from_status(grpc.StatusCode.UNAVAILABLE, "", [("grpc-retry-pushback-ms", pushback)])
    assert error.retry_after == seconds


@contextmanager
def one_place(serve):
    poet = GatedPoet()
    poet.let(20)
    running = serve(poets={"t5": poet}, workers=1, waiting=0)
    try:
        yield running, poet
    finally:
        poet.let(1000)


@both
def test_a_full_server_is_waited_for(serve, stack):
    """One place, and somebody in it, who ends as soon as the second caller was sent away once."""
    with one_place(serve) as (running, poet), Client(running.target, retry=None) as first:
        events = first.compose(picture=PICTURE)
        next(events)
        sent_away: list[Image2PoemError] = []

        def leave(error: Image2PoemError, seconds: float) -> None:
            if not sent_away:
                events.close()
                poet.let(1000)
                assert eventually(lambda: running.app.poems.admission.in_use == 0)
            sent_away.append(error)

        assert isinstance(compose(running.target, stack, Retry(on_wait=leave))[-1], Finished)
        assert isinstance(sent_away[0], Overloaded)
        assert sent_away[0].retry_after
