"""Lanes: places, threads, and items that arrive as they are made."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from server.admission import Caller, Draining, Overloaded
from server.scheduling import Lane, WorkerFailed


@pytest.fixture
def lane():
    lane = Lane("test", workers=1, waiting=1, retry_after_ms=40)
    yield lane
    lane.shutdown()


def test_items_arrive_before_the_next_is_made(lane):
    go = threading.Semaphore(0)
    made = []

    def make(run):
        for number in range(3):
            assert go.acquire(timeout=5)
            made.append(number)
            yield number

    async def read():
        received = []
        with lane.start(make) as run:
            go.release()
            async for item in run:
                received.append((item, list(made)))
                go.release()
        return received

    assert asyncio.run(read()) == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]
    assert lane.admission.in_use == 0


def test_what_the_work_raises_is_raised_after_its_items(lane):
    def make(run):
        yield 1
        raise KeyError("broken")

    async def read():
        with lane.start(make) as run:
            assert await anext(run) == 1
            with pytest.raises(KeyError, match="broken"):
                await anext(run)

    asyncio.run(read())
    assert lane.admission.in_use == 0


def test_everything_of_one_run_happens_in_one_thread(lane):
    threads = set()

    def make(run):
        try:
            for number in range(3):
                threads.add(threading.get_ident())
                yield number
        finally:
            threads.add(threading.get_ident())

    async def read():
        with lane.start(make) as run:
            async for _ in run:
                break
        while lane.admission.in_use:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(read(), 5))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_leaving_waits_for_nothing_and_the_place_is_kept_until_the_thread_has_ended(lane):
    begun, go = threading.Event(), threading.Event()

    def make(run):
        begun.set()
        assert go.wait(5)
        assert run.stopped()
        return
        yield

    async def leave():
        with lane.start(make):
            assert await asyncio.to_thread(begun.wait, 5)
        assert lane.admission.in_use == 1
        go.set()
        while lane.admission.in_use:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(leave(), 5))


def test_work_that_did_not_begin_is_dropped_at_once(lane):
    begun, go = threading.Event(), threading.Event()

    def block(run):
        begun.set()
        assert go.wait(5)
        yield 1

    def never(run):
        raise AssertionError("was begun")
        yield

    async def leave():
        with lane.start(block) as first:
            assert await asyncio.to_thread(begun.wait, 5)
            with lane.start(never):
                with pytest.raises(Overloaded) as caught:
                    lane.start(never)
                assert caught.value.retry_after_ms == 40
            await asyncio.sleep(0)
            assert lane.admission.in_use == 1
            go.set()
            assert [item async for item in first] == [1]

    asyncio.run(asyncio.wait_for(leave(), 5))


def test_cancelling_a_call_is_not_swallowed(lane):
    begun, go = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert go.wait(5)

    async def cancel():
        task = asyncio.create_task(lane.call(work))
        assert await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lane.admission.in_use == 1
        go.set()
        while lane.admission.in_use:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(cancel(), 5))


def test_a_call_returns_and_its_place_is_free_at_once(lane):
    async def call():
        for number in range(100):
            assert await lane.call(lambda number=number: number) == number
            assert lane.admission.in_use == 0

    asyncio.run(call())


def test_who_gives_way_hears_of_it_and_keeps_no_place():
    lane = Lane("test", workers=1, waiting=2, retry_after_ms=40)
    begun, go = threading.Event(), threading.Event()

    def block(run):
        begun.set()
        assert go.wait(5)
        yield "done"

    async def give_way():
        with lane.start(block, Caller("greedy")) as first:
            assert await asyncio.to_thread(begun.wait, 5)
            with (
                lane.start(block, Caller("greedy")) as second,
                lane.start(block, Caller("greedy")) as third,
                lane.start(block, Caller("modest")) as modest,
            ):
                with pytest.raises(Overloaded):
                    await anext(third)
                assert lane.admission.in_use == 3
                go.set()
                for run in (first, modest, second):
                    assert [item async for item in run] == ["done"]
        assert (lane.admission.in_use, lane.busy) == (0, False)

    asyncio.run(asyncio.wait_for(give_way(), 5))
    lane.shutdown()


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), MemoryError()]
)
def test_no_error_of_one_run_harms_the_event_loop_or_the_thread(lane, error):
    def work():
        raise error

    async def call():
        for _ in range(3):
            with pytest.raises(MemoryError if isinstance(error, MemoryError) else WorkerFailed):
                await lane.call(work)
        assert await lane.call(lambda: "well") == "well"

    asyncio.run(asyncio.wait_for(call(), 5))
    assert lane.admission.in_use == 0


def test_a_lane_that_is_aborted_tells_everybody_why(lane):
    begun, go = threading.Event(), threading.Event()

    def block(run):
        yield "begun"
        begun.set()
        assert go.wait(5)
        yield "never read"

    async def abort():
        with lane.start(block) as running, lane.start(block) as waiting:
            assert await anext(running) == "begun"
            assert await asyncio.to_thread(begun.wait, 5)
            lane.abort(Draining)
            for run in (running, waiting):
                with pytest.raises(Draining):
                    await anext(run)
        assert lane.busy
        go.set()
        while lane.busy:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(abort(), 5))


def test_silence_is_the_time_since_an_item_was_made(lane):
    go = threading.Event()

    def block(run):
        yield 1
        assert go.wait(5)

    async def read():
        assert lane.silence() == 0.0
        with lane.start(block) as run:
            assert await anext(run) == 1
            await asyncio.sleep(0.05)
            assert lane.silence() >= 0.05
            go.set()
            assert [item async for item in run] == []
        assert lane.silence() == 0.0

    asyncio.run(asyncio.wait_for(read(), 5))


def test_one_silent_run_among_others_that_go_on_counts_a_tenth():
    lane = Lane("test", workers=2, waiting=0)
    go, steps = threading.Event(), threading.Semaphore(0)

    def silent(run):
        assert go.wait(5)
        yield

    def lively(run):
        while steps.acquire(timeout=5):
            yield 1

    async def read():
        with lane.start(silent) as first, lane.start(lively) as second:
            await asyncio.sleep(0.5)
            before = lane.silence()
            assert before >= 0.4
            steps.release()
            assert await anext(second)
            assert before / 10 <= lane.silence() < before
            go.set()
            assert len([item async for item in first]) == 1
        steps.release()

    asyncio.run(asyncio.wait_for(read(), 5))
    lane.shutdown()


def test_what_ends_leaves_no_cycle_for_the_garbage_collector(lane):
    class Item:
        pass

    kept = []

    def make(run):
        item = Item()
        kept.append(weakref.ref(item))
        yield item
        raise KeyError("broken")

    async def read():
        with pytest.raises(KeyError), lane.start(make) as run:
            async for _ in run:
                pass
        with lane.start(make) as run:
            kept.append(weakref.ref(run))
            assert await anext(run)
        del run, _
        while lane.admission.in_use:
            await asyncio.sleep(0.001)
        # The thread that has just ended lets go of its work a moment later.
        await asyncio.sleep(0.05)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(asyncio.wait_for(read(), 5))
        assert [ref() for ref in kept] == [None] * len(kept)
    finally:
        gc.enable()
