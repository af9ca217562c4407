"""Embedding spread over processes, or over GPUs with one process each."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from index_builder.embedding import Encode, TextEncoder

_AHEAD = 2  # batches per process that wait while one is worked on

_encoder: TextEncoder | None = None


def open_encoder(bundle: Path, provider: str, threads: int) -> TextEncoder:
    """The encoder of a bundle, for `spread`. Raises as `models.clip.Encoder.open`."""
    from models.bundle import open_bundle
    from models.clip import Encoder

    return Encoder.open(open_bundle(bundle, kind="encoder"), provider=provider, threads=threads)


@contextmanager
def spread(open_: Callable[[], TextEncoder], processes: int, *, gpus: Sequence[str] = ()) -> Iterator[Encode]:
    """What encodes batches in several processes; leaving the block ends them.

    Args:
        open_: opens the encoder in each process; it must be picklable.
        processes: how many.
        gpus: one for each process, by the numbers of CUDA_VISIBLE_DEVICES; empty where there is none.
    """
    # A forked process would share the threads and locks of this one's libraries.
    context = multiprocessing.get_context("spawn")
    devices: Any = context.Queue()
    for gpu in gpus:
        devices.put(gpu)
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_prepare, initargs=(open_, devices if gpus else None)
    ) as pool:
        try:
            yield lambda batches: _in_order(pool, batches, processes * _AHEAD)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, batches: Iterable[list[str]], ahead: int) -> Iterator[np.ndarray]:
    waiting: deque[Future[np.ndarray]] = deque()
    for batch in batches:
        waiting.append(pool.submit(_encode, batch))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _prepare(open_: Callable[[], TextEncoder], devices: Any) -> None:
    global _encoder
    if devices is not None:
        # Before the encoder's libraries look for GPUs.
        os.environ["CUDA_VISIBLE_DEVICES"] = devices.get()
    _encoder = open_()


def _encode(texts: list[str]) -> np.ndarray:
    assert _encoder is not None
    return _encoder.encode_texts(texts)
