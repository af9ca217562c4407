"""Lanes: places, threads, and items that arrive as they are made."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server.scheduling import Admission, Draining, Lane, Overloaded


@pytest.fixture
def lane():
    lane = Lane("test", workers=1, waiting=1, retry_after_ms=40)
    yield lane
    lane.shutdown()


def test_a_permit_is_released_once():
    admission = Admission("test", 2, retry_after_ms=1)
    first, _ = admission.admit(), admission.admit()
    with pytest.raises(Overloaded):
        admission.admit()
    first.release()
    first.release()
    assert admission.in_use == 1


def test_a_closed_admission_admits_nobody():
    admission = Admission("test", 2, retry_after_ms=1)
    admission.close()
    with pytest.raises(Draining):
        admission.admit()


def test_items_arrive_before_the_next_is_made(lane):
    go = threading.Semaphore(0)
    made = []

    def make(stopped):
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
    def make(stopped):
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

    def make(stopped):
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

    def make(stopped):
        begun.set()
        assert go.wait(5)
        assert stopped()
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

    def block(stopped):
        begun.set()
        assert go.wait(5)
        yield 1

    def never(stopped):
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
