"""Dynamic batching: many callers, few runs, to each its own answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes import eventually
from models.batching import Batcher


class Doubler:
    """Doubles numbers; one run at a time, which lasts until it is let. Negative numbers spoil a run."""

    def __init__(self, *, open: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.at_once = 0
        self.gate = threading.Event()
        if open:
            self.gate.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.at_once += 1
        assert self.at_once == 1
        self.batches.append(list(items))
        assert self.gate.wait(30)
        self.at_once -= 1
        if any(item < 0 for item in items):
            raise ValueError(f"cannot double {min(items)}")
        return [2 * item for item in items]


def test_alone_nobody_is_waited_for():
    run = Doubler()
    batcher = Batcher(run)
    assert [batcher(item) for item in range(3)] == [0, 2, 4]
    assert run.batches == [[0], [1], [2]]
    assert batcher.stats.sizes == {1: 3}


def test_those_that_come_during_a_run_share_the_next_ones():
    run = Doubler(open=False)
    batcher = Batcher(run, max_batch=4)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(batcher, 100)
        assert eventually(lambda: bool(run.batches))
        others = [pool.submit(batcher, item) for item in range(9)]
        assert eventually(lambda: len(batcher._waiting) == 9)
        run.gate.set()
        assert [future.result(30) for future in (first, *others)] == [200, *range(0, 18, 2)]
    assert [len(batch) for batch in run.batches] == [1, 4, 4, 1]
    assert (batcher.stats.runs, batcher.stats.items, batcher.stats.waited_seconds > 0) == (4, 10, True)


def test_the_first_one_waits_for_others_when_told_to():
    run = Doubler()
    batcher = Batcher(run, max_batch=3, max_wait_us=30_000_000)
    started = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(batcher, range(3))) == [0, 2, 4]
    # A full batch goes at once.
    assert time.monotonic() - started < 25
    assert [sorted(batch) for batch in run.batches] == [[0, 1, 2]]


def test_the_wait_ends():
    batcher = Batcher(Doubler(), max_batch=3, max_wait_us=1000)
    assert batcher(1) == 2


def test_one_that_spoils_a_run_harms_no_other():
    run = Doubler()
    batcher = Batcher(run, max_batch=4, max_wait_us=30_000_000)
    with ThreadPoolExecutor(4) as pool:
        futures = {item: pool.submit(batcher, item) for item in (1, -5, 2, 3)}
        with pytest.raises(ValueError, match="-5"):
            futures[-5].result(30)
        assert [futures[item].result(30) for item in (1, 2, 3)] == [2, 4, 6]
    assert batcher.stats.alone == 4


def test_a_failure_of_one_alone_is_its_own_and_the_next_goes_on():
    batcher = Batcher(Doubler())
    with pytest.raises(ValueError, match="-1"):
        batcher(-1)
    assert batcher(4) == 8


def test_a_run_that_hangs_is_seen():
    run = Doubler(open=False)
    batcher = Batcher(run)
    assert batcher.heartbeat().seconds == 0.0
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(batcher, 1)
        assert eventually(lambda: batcher.heartbeat().seconds > 0.01)
        assert batcher.heartbeat().pending
        run.gate.set()
        assert future.result(30) == 2
    assert not batcher.heartbeat().pending


def test_many_callers_get_their_own():
    batcher = Batcher(Doubler(), max_batch=7)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(batcher, range(2000))) == list(range(0, 4000, 2))
    assert batcher.stats.items == 2000
