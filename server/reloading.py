"""What files say now: read again when they change, kept as it was where the new ones are wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from server import telemetry

T = TypeVar("T")


class UnusableFile(Exception):
    """A file that the options name cannot be used; the message says why."""


class Reloaded(Generic[T]):
    """A value that is made of files. Safe to use from any thread."""

    def __init__(self, paths: Sequence[Path], load: Callable[[], T]) -> None:
        """`load` reads the files; it raises OSError or ValueError where they are wrong, this UnusableFile."""
        self._paths = tuple(paths)
        self._load = load
        self._lock = threading.Lock()
        self._seen = self._state()
        try:
            self._value = load()
        except (OSError, ValueError) as error:
            raise UnusableFile(str(error)) from error

    def current(self) -> T:
        """The value of the files as they are; where they cannot be used, the value before, and a line logged.

        Looks at the files, which costs microseconds, and reads them only where they have changed.
        """
        with self._lock:
            state = self._state()
            if state != self._seen:
                # Wrong files are read, and complained of, once.
                self._seen = state
                self._reload()
            return self._value

    def _reload(self) -> None:
        names = " ".join(map(str, self._paths))
        try:
            self._value = self._load()
        except (OSError, ValueError) as error:
            telemetry.log.error(
                "kept what was read before", extra={"fields": {"files": names, "why": str(error)}}
            )
        else:
            telemetry.event("reloaded", files=names)

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_state_of, self._paths))


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
