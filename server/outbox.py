"""Calls that other threads want made on an event loop: it is woken once for all that have gathered."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any


class Outbox:
    """Of one event loop. What is posted in one order is called in that order.

    `call_soon_threadsafe` writes to a socket each time, and a thread that does so gives the interpreter away:
    thirty poems that go on by a character each would wake the loop thirty times.
    """

    def __init__(self) -> None:
        """Of the loop that runs in this thread."""
        self._loop = asyncio.get_running_loop()
        self._posts: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._woken = False

    def post(self, callback: Callable[[Any], object], argument: object) -> None:
        """Call it on the loop, soon. In any thread."""
        self._posts.append((callback, argument))
        if not self._woken:
            self._woken = True
            # A closed loop means that the process is ending and nobody is left to hear of it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # First, so that what is posted from now on wakes the loop anew.
        self._woken = False
        while self._posts:
            callback, argument = self._posts.popleft()
            self._loop.call_soon(callback, argument)
