"""Where an index is searched: on the CPU as it is, or on a GPU by one thread that owns it.

FAISS indexes on a GPU must not be read by two threads at once. So one thread owns the index; what other
threads ask meanwhile waits and goes as one batch, which is also how a GPU is fed best.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

ON_DEVICE = ("flat", "ivf_flat", "ivf_pq")

_MOST_QUERIES = 1024
_LEAST_COUNT = 50_000  # below, a GPU's start of a kernel costs more than the search on a CPU


class DeviceUnavailable(Exception):
    """A GPU was asked for, and this FAISS or this machine has none."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A place to search in.

    Attributes:
        name: `cpu` or `cuda`.
        move: makes an index on the device from one on the CPU; None leaves it where it is.
        least_count: smaller indexes stay on the CPU, where they are faster.
    """

    name: str
    move: Callable[[Any], Any] | None = None
    least_count: int = _LEAST_COUNT

    @classmethod
    def named(cls, device: str | Device) -> Device:
        """`cpu`, `cuda`, or a device as it is. Raises DeviceUnavailable."""
        if isinstance(device, Device):
            return device
        if device == "cuda":
            return cls(name="cuda", move=_to_gpu())
        return cls(name="cpu")

    def place(self, index: Any, kind: str) -> Any:
        """The index, or what searches it on the device, for kinds and sizes that belong there."""
        if self.move is None or kind not in ON_DEVICE or index.ntotal < self.least_count:
            return index
        return OwnedIndex(index, self.move)


class OwnedIndex:
    """An index that one thread owns; `search` may be called from any thread.

    Attributes:
        ntotal, d: as of the index.
    """

    def __init__(self, index: Any, move: Callable[[Any], Any] = lambda index: index) -> None:
        """`move` is called in the owning thread. Raises what it raises."""
        self.ntotal, self.d = int(index.ntotal), int(index.d)
        self._wishes: queue.SimpleQueue[_Wish | None] = queue.SimpleQueue()
        ready: Future[None] = Future()
        # The thread knows the queue and not this object, which could never be collected otherwise.
        self._thread = threading.Thread(
            target=_own, args=(self._wishes, index, move, ready), name="index-owner", daemon=True
        )
        self._thread.start()
        self.close = weakref.finalize(self, self._wishes.put, None)
        ready.result()

    def search(self, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `faiss.Index.search`. Raises RuntimeError when the index was closed."""
        wish = _Wish(queries=x, k=k, found=Future())
        self._wishes.put(wish)
        if not self.close.alive:
            # The owner may have left before it saw the wish.
            self._thread.join()
            _refuse(self._wishes)
        return wish.found.result()


@dataclass(frozen=True, kw_only=True)
class _Wish:
    queries: np.ndarray
    k: int
    found: Future[tuple[np.ndarray, np.ndarray]]


def _own(
    wishes: queue.SimpleQueue[_Wish | None], index: Any, move: Callable[[Any], Any], ready: Future[None]
) -> None:
    """Fulfil wishes until the end, which is None."""
    try:
        index = move(index)
    except BaseException as error:
        ready.set_exception(error)
        return
    ready.set_result(None)
    while (first := wishes.get()) is not None:
        batch, ended = _gather(wishes, first)
        _fulfil(index, batch)
        if ended:
            break
    _refuse(wishes)


def _gather(wishes: queue.SimpleQueue[_Wish | None], first: _Wish) -> tuple[list[_Wish], bool]:
    """What waits already, up to a limit of queries, and whether the end was among it."""
    batch, rows = [first], len(first.queries)
    while rows < _MOST_QUERIES:
        try:
            wish = wishes.get_nowait()
        except queue.Empty:
            break
        if wish is None:
            return batch, True
        batch.append(wish)
        rows += len(wish.queries)
    return batch, False


def _fulfil(index: Any, batch: list[_Wish]) -> None:
    try:
        scores, ids = index.search(np.concatenate([wish.queries for wish in batch]), max(w.k for w in batch))
    except Exception as error:
        for wish in batch:
            wish.found.set_exception(error)
        return
    start = 0
    for wish in batch:
        rows = slice(start, start := start + len(wish.queries))
        wish.found.set_result((scores[rows, : wish.k], ids[rows, : wish.k]))


def _refuse(wishes: queue.SimpleQueue[_Wish | None]) -> None:
    """Answer whoever still asks after the end."""
    while not wishes.empty():
        wish = wishes.get()
        if wish is not None:
            wish.found.set_exception(RuntimeError("the index was closed"))


def _to_gpu() -> Callable[[Any], Any]:
    """Moves an index to the first GPU. Raises DeviceUnavailable."""
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        raise DeviceUnavailable(
            "the index was asked to search on a GPU, and this FAISS sees none; install the wheels of the "
            "extra `gpu` or `gpu-cuda13` on a machine with a CUDA driver, or search on the CPU"
        )

    return lambda index: faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
