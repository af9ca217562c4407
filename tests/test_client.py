"""Both clients against a real server: values, errors, and that leaving a loop cancels the call."""

from __future__ import annotations

import asyncio
import gc

import grpc
import pytest

import image2poem
from fakes import BROKEN_PICTURE, PICTURE, FakeEncoder, GatedPoet, eventually
from image2poem import AsyncClient, Client, Finished, Line, Retrieved, Token
from image2poem.errors import BY_REASON, from_status
from image2poem.v1 import error_reason_pb2


@pytest.fixture
def client(server):
    with Client(server.target, timeout=10) as client:
        yield client


def test_the_public_names_are_these():
    public = {name for name in vars(image2poem) if not name.startswith("_")}
    modules = {"aio", "card", "checks", "client", "errors", "events", "retry", "wishes", "v1"}
    assert public - modules == set(image2poem.__all__)


def test_compose_gives_typed_events(client):
    events = list(client.compose(picture=PICTURE, form="wujue", seed=3, poet="gpt2"))
    assert [type(event) for event in events] == [Retrieved] + ([Token] * 5 + [Line]) * 4 + [Finished]
    end = events[-1]
    assert end.poem == tuple(event.text for event in events if isinstance(event, Line))
    assert (end.form, end.poet, end.seed, end.finish_reason) == ("wujue", "gpt2", 3, "complete")
    assert end.keywords == events[0].keywords
    assert end.candidates[end.best_candidate].lines == end.poem
    assert end.timings.total_ms > 0


def test_a_subject_reaches_the_poet(client):
    plain, subject = (
        list(client.compose(picture=PICTURE, seed=3, **wish))[-1] for wish in ({}, {"subject": "送别"})
    )
    assert plain.poem != subject.poem
    assert client.info().poets[0].subjects == ("送别", "春")


def test_lookup_by_each_source(client):
    assert len(client.lookup_keywords(picture=PICTURE).keywords) == 8
    assert client.lookup_keywords(text="秋江", top_k=1).keywords[0].text == "秋江"
    vector = FakeEncoder().encode_texts(["秋江"])[0]
    assert client.lookup_keywords(vector=vector).keywords[0].text == "秋江"
    assert client.lookup_keywords(vector=vector.tolist()).index_version == "index-1"


def test_info(client):
    info = client.info()
    assert [poet.name for poet in info.poets] == ["t5", "gpt2"]
    assert (info.forms, info.encoder.dimension, info.index.size) == (("wujue", "qijue"), 16, 12)


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        ({"picture": BROKEN_PICTURE}, image2poem.InvalidImage),
        ({"picture": PICTURE, "top_k": 0}, image2poem.InvalidOption),
        ({"picture": PICTURE, "temperature": 3.0}, image2poem.InvalidOption),
        ({"picture": PICTURE, "poet": "libai"}, image2poem.UnknownModel),
        ({"picture": bytes(9 * 2**20)}, image2poem.RequestTooLarge),
        ({"keywords": ["长江"]}, image2poem.PromptTooLong),
        ({"keywords": ["坏"]}, image2poem.ServerError),
    ],
    ids=["image", "top_k", "temperature", "poet", "size", "prompt", "defect"],
)
def test_errors_of_the_server(client, wish, kind):
    with pytest.raises(kind) as caught:
        list(client.compose(**wish))
    assert type(caught.value) is kind
    assert caught.value.code is not None


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"picture": PICTURE, "text": "秋江"},
        {"picture": PICTURE, "form": "sonnet"},
        {"picture": PICTURE, "top_k": 10**12},
        {"picture": PICTURE, "seed": -1},
        {"picture": PICTURE, "temperature": "hot"},
        {"keywords": "明月"},
        {"keywords": [1, 2]},
    ],
    ids=str,
)
def test_wishes_that_never_leave(client, wish):
    with pytest.raises(image2poem.InvalidOption) as caught:
        client.compose(**wish)
    assert caught.value.code is None


def test_an_argument_that_is_none_of_ours_is_not_dropped(client):
    with pytest.raises((TypeError, image2poem.InvalidOption)):
        client.compose(picture=PICTURE, colour="red")


def test_nobody_there():
    with Client("127.0.0.1:1", timeout=5) as client, pytest.raises(image2poem.Unavailable) as caught:
        client.info()
    assert caught.value.reason is None


def test_every_reason_of_the_contract_has_its_error():
    declared = {
        name.removeprefix("ERROR_REASON_")
        for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
        if "UNSPECIFIED" not in name
    }
    assert set(BY_REASON) == declared
    for reason, kind in BY_REASON.items():
        assert type(from_status(grpc.StatusCode.UNKNOWN, "", [("image2poem-reason", reason)])) is kind


def test_a_reason_of_the_future_falls_back_to_its_status():
    error = from_status(grpc.StatusCode.INVALID_ARGUMENT, "x", [("image2poem-reason", "TOO_SAD")])
    assert (type(error), error.reason) == (image2poem.InvalidRequest, "TOO_SAD")
    assert type(from_status(grpc.StatusCode.DATA_LOSS, None, None)) is image2poem.ServerError


@pytest.fixture
def gated(serve):
    poet = GatedPoet()
    poet.let(20)
    running = serve(poets={"t5": poet}, workers=1, waiting=0)
    yield running, poet
    poet.let(1000)


def test_overload_says_when_to_come_again(gated):
    running, poet = gated
    with Client(running.target, retry=None) as client:
        events = client.compose(picture=PICTURE)
        next(events)
        with pytest.raises(image2poem.Overloaded) as caught:
            list(client.compose(picture=PICTURE))
        assert caught.value.retry_after == 0.5
        poet.let(100)
        assert isinstance(list(events)[-1], Finished)


@pytest.mark.parametrize("how", ["break", "close", "error"])
def test_leaving_the_loop_cancels_on_the_server(gated, how):
    running, poet = gated
    poet.let(3)
    with Client(running.target) as client:

        def read():
            events = client.compose(picture=PICTURE)
            for event in events:
                if isinstance(event, Token) and event.position == 2:
                    if how == "error":
                        raise KeyError(how)
                    if how == "close":
                        events.close()
                    break

        if how == "error":
            with pytest.raises(KeyError):
                read()
            gc.collect()
        else:
            read()
        assert eventually(poet.stopped)
        poet.let(1)
        assert eventually(lambda: running.app.poems.admission.in_use == 0)


def test_a_deadline_that_passes_is_typed_and_frees_the_place(gated):
    running, poet = gated
    with Client(running.target, timeout=0.3) as client:
        with pytest.raises(image2poem.DeadlineExceeded):
            list(client.compose(picture=PICTURE))
        assert eventually(poet.stopped)
        poet.let(1)
        assert eventually(lambda: running.app.poems.admission.in_use == 0)


def test_the_asynchronous_client_is_the_same(server):
    async def talk():
        async with AsyncClient(server.target, timeout=10) as client:
            events = [event async for event in client.compose(picture=PICTURE, seed=3)]
            found = await client.lookup_keywords(text="秋江", top_k=2)
            info = await client.info()
            for wish, kind in (
                ({"picture": BROKEN_PICTURE}, image2poem.InvalidImage),
                ({"picture": bytes(9 * 2**20)}, image2poem.RequestTooLarge),
                ({"keywords": ["坏"]}, image2poem.ServerError),
            ):
                with pytest.raises(kind):
                    async for _ in client.compose(**wish):
                        pass
            return events, found, info

    events, found, info = asyncio.run(talk())
    with Client(server.target) as client:
        assert events[:-1] == list(client.compose(picture=PICTURE, seed=3))[:-1]
        assert found.keywords == client.lookup_keywords(text="秋江", top_k=2).keywords
        assert info == client.info()


@pytest.mark.parametrize("how", ["break", "cancel"])
def test_leaving_the_asynchronous_loop_cancels_on_the_server(gated, how):
    running, poet = gated
    poet.let(3)

    async def read(client):
        async for event in client.compose(picture=PICTURE):
            if isinstance(event, Token) and event.position == 2:
                if how == "break":
                    return
                asyncio.current_task().cancel()

    async def talk():
        async with AsyncClient(running.target) as client:
            task = asyncio.create_task(read(client))
            await asyncio.wait([task])
            assert task.cancelled() == (how == "cancel")
            assert await asyncio.to_thread(eventually, poet.stopped)
            poet.let(1)
            assert await asyncio.to_thread(eventually, lambda: running.app.poems.admission.in_use == 0)

    asyncio.run(talk())
