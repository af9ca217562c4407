"""Workers that hang or die: noticed, told, recovered from, or the end of the process."""

from __future__ import annotations

import asyncio
import math
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes import PICTURE, FakeEncoder, FakeIndex, FakePoet, eventually
from gated import gated
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from models.tasks import EngineStopped
from server.watchdog import EventLoopWorker, Part, Watchdog

CODE = grpc.StatusCode
REQUEST = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_WUJUE)
STATUS = health_pb2.HealthCheckResponse


class FakeWorker:
    """Silent for as long as it is told."""

    name = "worker"

    def __init__(self) -> None:
        self.silent = 0.0

    def silence(self) -> float:
        return self.silent


class Watched:
    """A watchdog over one worker, on a clock that the test turns."""

    def __init__(self, worker: FakeWorker) -> None:
        self.now = 0.0
        self.changes: list[str] = []
        self.losses: list[str] = []
        self.worker = worker
        self._watchdog = Watchdog(
            lambda: [worker],
            stall=10.0,
            patience=20.0,
            changed=self.changes.append,
            lost=self.losses.append,
            clock=lambda: self.now,
        )

    def look(self, *, silent: float, after: float = 1.0) -> None:
        self.worker.silent = silent
        self.now += after
        self._watchdog.check()

    def live(self, seconds: int) -> None:
        """Look every second at a worker that grows more silent."""
        for _ in range(seconds):
            self.look(silent=self.worker.silent + 1)


@pytest.fixture
def watched():
    return Watched(FakeWorker())


def test_a_worker_that_goes_on_is_left_alone(watched):
    for _ in range(100):
        watched.look(silent=0.0)
    watched.live(10)
    assert (watched.changes, watched.losses) == ([], [])


def test_a_hung_worker_is_told_once_and_so_is_its_recovery(watched):
    watched.live(15)
    assert watched.changes == ["worker has made no progress for 11 s"]
    watched.look(silent=0.0)
    assert watched.changes[1:] == [""]
    watched.live(15)
    assert len(watched.changes) == 3
    assert watched.losses == []


def test_a_worker_that_stays_hung_loses_the_server(watched):
    watched.live(30)
    assert watched.losses == []
    watched.live(2)
    assert watched.losses == ["worker has made no progress for 31 s"]


def test_a_process_that_was_suspended_is_given_time(watched):
    watched.look(silent=0.0)
    watched.look(silent=500.0, after=500.0)
    watched.look(silent=501.0)
    assert watched.changes == []
    watched.live(12)
    assert watched.changes == ["worker has made no progress for 11 s"]


def test_a_worker_that_has_crashed_loses_the_server(watched):
    for _ in range(22):
        watched.look(silent=math.inf)
    assert watched.changes == ["worker has crashed"]
    assert watched.losses == ["worker has crashed"]


def test_a_part_is_as_silent_as_its_heartbeat():
    class Beat:
        seconds = 3.0

    class Poet:
        def heartbeat(self):
            return Beat()

    part = Part("poet t5", Poet())
    assert (part.name, part.silence()) == ("poet t5", 3.0)


def test_the_event_loop_is_silent_while_it_is_blocked():
    async def block():
        worker = EventLoopWorker(asyncio.get_running_loop())
        assert worker.silence() == 0.0
        await asyncio.sleep(0.01)
        assert worker.silence() == 0.0
        threading.Event().wait(0.05)
        assert worker.silence() >= 0.05
        await asyncio.sleep(0.01)
        assert worker.silence() == 0.0

    asyncio.run(block())


def health_of(running):
    return health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest()).status


async def _this_thread():
    return threading.current_thread()


def test_a_lookup_by_vector_runs_on_the_event_loop_and_leaves_no_heartbeat_behind(serve, monkeypatch):
    running = serve()
    loop_thread = running.run(_this_thread())
    request = pb.LookupKeywordsRequest(vector=pb.Vector(values=[1.0] * FakeEncoder.dimension))
    seen = []
    nearest = FakeIndex.nearest

    def watched(index, vector, k):
        lane = running.app.lookups
        seen.append((lane.silence(), lane.busy, threading.current_thread() is loop_thread))
        return nearest(index, vector, k)

    monkeypatch.setattr(FakeIndex, "nearest", watched)
    for _ in range(3):
        running.stub.LookupKeywords(request)
    assert seen == [(0.0, False, True)] * 3
    assert (running.app.lookups.silence(), running.app.lookups.busy) == (0.0, False)


def test_a_hung_poem_turns_health_and_its_end_turns_it_back(serve):
    running, poet = gated(serve, workers=2, stall=0.3, stall_exit=100.0)
    hung = running.stub.ComposePoem(REQUEST)
    assert eventually(lambda: health_of(running) == STATUS.NOT_SERVING)
    with pytest.raises(grpc.RpcError) as caught:
        list(running.stub.ComposePoem(REQUEST))
    reason = dict(caught.value.trailing_metadata())["image2poem-reason"]
    assert (caught.value.code(), reason) == (CODE.UNAVAILABLE, "UNHEALTHY")
    assert "poems has made no progress" in caught.value.details()
    poet.let(100)
    assert list(hung)[-1].WhichOneof("event") == "finished"
    assert eventually(lambda: health_of(running) == STATUS.SERVING)
    assert list(running.stub.ComposePoem(REQUEST))[-1].WhichOneof("event") == "finished"


def test_a_poet_whose_thread_is_silent_turns_health(serve):
    class Beat:
        seconds = 0.0

    class BeatingPoet(FakePoet):
        beat = Beat()

        def heartbeat(self):
            return self.beat

    poet = BeatingPoet()
    running = serve(poets={"t5": poet}, stall=1.0, stall_exit=100.0)
    poet.beat.seconds = math.inf
    assert eventually(lambda: health_of(running) == STATUS.NOT_SERVING)
    poet.beat.seconds = 0.0
    assert eventually(lambda: health_of(running) == STATUS.SERVING)


def test_an_engine_that_crashes_once_costs_its_poems_and_one_that_always_does_turns_health(serve):
    class CrashingPoet(FakePoet):
        crashes = 0

        def before_step(self):
            if self.crashes:
                self.crashes -= 1
                raise EngineStopped("the engine's thread ended")

    poet = CrashingPoet()
    running = serve(poets={"t5": poet}, stall=1.0, stall_exit=100.0)

    def compose():
        try:
            return list(running.stub.ComposePoem(REQUEST))[-1].WhichOneof("event")
        except grpc.RpcError as error:
            return error.code(), dict(error.trailing_metadata())["image2poem-reason"]

    unhealthy = CODE.UNAVAILABLE, "UNHEALTHY"
    for _ in range(3):
        poet.crashes = 1
        assert compose() == unhealthy
        assert compose() == "finished"
    assert health_of(running) == STATUS.SERVING
    poet.crashes = 1000
    for _ in range(3):
        assert compose() == unhealthy
        # Poems that fail at once failed of one crash.
        time.sleep(0.15)
    assert eventually(lambda: health_of(running) == STATUS.NOT_SERVING)
