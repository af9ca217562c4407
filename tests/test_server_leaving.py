"""A thousand clients that leave at random moments leave no task, place, row, thread or memory behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time

import grpc
import grpc.aio
import pytest

from fakes import PICTURE, FakePoet, eventually
from image2poem.v1 import poem_pb2, poem_service_pb2_grpc
from image2poem.v1 import poem_service_pb2 as pb
from server.scheduling import Run

CLIENTS = 1000
CONNECTIONS = 20
EXPECTED = (
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
)
REQUEST = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_QIJUE)


class CountingPoet(FakePoet):
    """Takes its time, and counts the poems that it has in hand."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.in_hand = 0
        self.begun = 0

    def compose(self, *arguments, **options):
        with self._lock:
            self.in_hand += 1
            self.begun += 1
        try:
            yield from super().compose(*arguments, **options)
        finally:
            with self._lock:
                self.in_hand -= 1

    def before_step(self) -> None:
        time.sleep(0.0002)


def runs():
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) is Run]


async def leave(stub, chance):
    """Call, and go: before an answer, in the middle, by a deadline; some stay to the end."""
    how = chance.choice(["at once", "in the middle", "deadline", "stay"])
    timeout = chance.uniform(0.0, 0.3) if how == "deadline" else 60
    call = stub.ComposePoem(REQUEST, timeout=timeout)
    try:
        if how == "at once":
            await asyncio.sleep(chance.uniform(0.0, 0.01))
        else:
            events = chance.randrange(1, 100) if how == "in the middle" else 1000
            for _ in range(events):
                if await call.read() is grpc.aio.EOF:
                    break
    except grpc.RpcError as error:
        if error.code() not in EXPECTED:
            raise
    finally:
        call.cancel()


async def crowd(target, seed):
    """All clients at once, on a few connections; some of these are cut."""
    chance = random.Random(seed)
    channels = [grpc.aio.insecure_channel(target) for _ in range(CONNECTIONS)]
    stubs = [poem_service_pb2_grpc.PoemServiceStub(channel) for channel in channels]
    clients = [
        asyncio.ensure_future(leave(stubs[number % CONNECTIONS], chance)) for number in range(CLIENTS // 2)
    ]
    await asyncio.sleep(0.2)
    for channel in channels[:3]:
        await channel.close()
    results = await asyncio.gather(*clients, return_exceptions=True)
    for channel in channels[3:]:
        await channel.close()
    return [error for error in results if isinstance(error, Exception)]


@pytest.mark.parametrize("seed", [1])
def test_who_leaves_leaves_nothing_behind(serve, seed):
    poet = CountingPoet()
    running = serve(poets={"t5": poet}, workers=4, waiting=CLIENTS, client_streams=0)

    def tasks():
        async def count():
            return len(asyncio.all_tasks())

        return running.run(count())

    def settle():
        assert eventually(lambda: not running.app.poems.busy, 60)
        assert eventually(lambda: tasks() <= at_rest)
        gc.collect()
        return len(gc.get_objects())

    list(running.stub.ComposePoem(REQUEST))
    at_rest, threads = tasks(), threading.active_count()
    # Other tests' failures may still hold some.
    held = len(runs())
    objects = []
    for turn in range(2):
        assert asyncio.run(crowd(running.target, seed + turn)) == []
        objects.append(settle())

    assert poet.begun > 100
    assert poet.in_hand == 0
    admission = running.app.poems.admission
    assert (admission.in_use, admission._by_client, admission._turns._queues) == (0, {}, {})
    assert eventually(lambda: len(runs()) <= held)
    assert threading.active_count() <= threads + 4
    # Far below one object for each of the second half of the clients.
    assert objects[1] - objects[0] < CLIENTS // 10
    assert list(running.stub.ComposePoem(REQUEST))[-1].WhichOneof("event") == "finished"
