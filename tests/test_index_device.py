"""The owner thread: one thread alone touches an index, and what waits goes as one batch."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest

from index_builder.device import Device, DeviceUnavailable, OwnedIndex
from index_builder.kinds import IndexKind, make_index
from test_index_kinds import VECTORS


class Watched:
    """A flat index that notes who asks and how much, and waits where it is told to."""

    def __init__(self) -> None:
        self.inner = make_index(VECTORS, IndexKind(kind="flat"))
        self.ntotal, self.d = self.inner.ntotal, self.inner.d
        self.threads: set[int] = set()
        self.batches: list[int] = []
        self.go = threading.Event()
        self.asked = threading.Event()
        self.go.set()

    def search(self, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        self.threads.add(threading.get_ident())
        self.batches.append(len(x))
        self.asked.set()
        assert self.go.wait(30)
        return self.inner.search(x, k)


def test_one_thread_moves_and_asks_the_index() -> None:
    watched, movers = Watched(), []

    def move(index: Watched) -> Watched:
        movers.append(threading.get_ident())
        return index

    owned = OwnedIndex(watched, move)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: owned.search(VECTORS[place : place + 1], 3), range(100)))
    assert [int(ids[0, 0]) for _, ids in found] == list(range(100))
    assert watched.threads == set(movers)
    assert threading.get_ident() not in movers
    assert sum(watched.batches) == 100


def test_what_waits_goes_as_one_batch_and_each_gets_its_own() -> None:
    watched = Watched()
    owned = OwnedIndex(watched)
    watched.go.clear()
    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(owned.search, VECTORS[:1], 1)
        assert watched.asked.wait(30)
        rest = [pool.submit(owned.search, VECTORS[n : n + 2], n) for n in range(1, 11)]
        while owned._wishes.qsize() < 10:
            threading.Event().wait(0.001)
        watched.go.set()
        assert first.result()[1].tolist() == [[0]]
        for n, result in enumerate(rest, 1):
            scores, ids = result.result()
            assert scores.shape == ids.shape == (2, n)
            assert ids[:, 0].tolist() == [n, n + 1]
    assert watched.batches == [1, 20]


def test_a_failure_reaches_everyone_who_waited_and_the_thread_lives_on() -> None:
    owned = OwnedIndex(make_index(VECTORS, IndexKind(kind="flat")))
    with pytest.raises(Exception, match=r".*"):
        owned.search(VECTORS[:1, :5], 1)
    assert owned.search(VECTORS[:1], 1)[1].tolist() == [[0]]


def test_a_move_that_fails_is_raised_where_the_index_is_opened() -> None:
    def fail(index: object) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        OwnedIndex(make_index(VECTORS, IndexKind(kind="flat")), fail)


def test_a_closed_index_refuses_and_its_thread_ends() -> None:
    owned = OwnedIndex(Watched())
    owned.close()
    owned.close()
    with pytest.raises(RuntimeError, match="closed"):
        owned.search(VECTORS[:1], 1)
    owned._thread.join(30)
    assert not owned._thread.is_alive()


def test_an_index_that_nobody_holds_ends_its_thread() -> None:
    owned = OwnedIndex(Watched())
    thread = owned._thread
    del owned
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("kind", "least", "moved"),
    [
        ("flat", 0, True),
        ("ivf_flat", 3000, True),
        ("hnsw", 0, False),
        ("sq8", 0, False),
        ("flat", 3001, False),
    ],
)
def test_small_ones_and_kinds_that_no_gpu_has_stay(kind: str, least: int, moved: bool) -> None:
    index = make_index(VECTORS, IndexKind(kind=kind))
    placed = Device(name="cuda", move=lambda index: index, least_count=least).place(index, kind)
    assert isinstance(placed, OwnedIndex) is moved
    assert (placed.ntotal, placed.d) == (3000, 32)


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS knows GPUs")
def test_a_gpu_that_is_not_there_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceUnavailable, match="extra `gpu`"):
        Device.named("cuda")
