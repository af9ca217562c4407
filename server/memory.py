"""Memory that the process has freed and the C library still holds."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def give_back() -> None:
    """Give free memory back to the system; a few milliseconds, without the interpreter's lock.

    The C library keeps large blocks for the next allocation of their size, which for an index of millions of
    words may be days away. Does nothing where the C library has no `malloc_trim` (it is glibc's).
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
