"""Locks and work folders: one writer of the pointer at a time, many builds, and readers that hold a version.

All locks are `flock`s, which the system frees when a process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

_PREFIX = ".work-"


class Lease:
    """Holds a version: no garbage collection removes it until this is closed or the process ends.

    Attributes:
        version: the version's name.
    """

    def __init__(self, version: str, descriptor: int) -> None:
        self.version = version
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let the version go. Harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def share(path: Path) -> int:
    """Lock an existing file or folder against `unused`; returns a descriptor that holds the lock.

    Reading is enough, so that this works on a disk that is mounted read-only. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Whether nobody shares the file or folder at `path`; where so, nobody can begin to inside the block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """One change of names and of the pointer at a time; `root` is made where it is missing."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def work_folder(versions: Path) -> Iterator[Path]:
    """An empty folder beside the versions, removed at the end; what dead processes left there goes first."""
    with exclusive(versions.parent):
        versions.mkdir(exist_ok=True)
        _sweep(versions)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=versions))
        descriptor = share(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a version's folder such that no crash leaves half of it under its name."""
    aside = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder.parent))
    os.rename(folder, aside / folder.name)
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(versions: Path) -> None:
    """Remove the work folders that no living process shares."""
    for folder in versions.glob(f"{_PREFIX}*"):
        with unused(folder) as dead:
            if dead:
                shutil.rmtree(folder, ignore_errors=True)
