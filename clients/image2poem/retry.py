"""When a call that failed is made again.

Only where the server was away or had no place, `Unavailable` and its kin, and never once an event of a poem
has arrived: a poem that has begun is never begun again. gRPC's own retries do not fit: they would send a
message again that is too large, which has the status of a busy server.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from image2poem.errors import Image2PoemError, Unavailable


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often, and how long the waits are.

    Attributes:
        attempts: calls in all, from 1; 1 never tries again.
        wait: seconds before the second call where the server does not say; doubled before each further one.
        longest_wait: seconds that no such wait exceeds.
        on_wait: called with the error and the seconds before each wait.

    Where the server says when to come again (`grpc-retry-pushback-ms`), that counts instead of `wait`. Waits
    are drawn up to a quarter longer, so that clients that were sent away together do not come back together.
    A wait that would end after the call's timeout is not begun.
    """

    attempts: int = 4
    wait: float = 0.2
    longest_wait: float = 5.0
    on_wait: Callable[[Image2PoemError, float], None] | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.wait <= self.longest_wait:
            raise ValueError("attempts must be at least 1, and wait from 0 to longest_wait")


class Attempts:
    """The attempts of one call, within its timeout; for both clients."""

    def __init__(self, retry: Retry | None, timeout: float | None) -> None:
        self._retry = retry or Retry(attempts=1)
        self._end = None if timeout is None else time.monotonic() + timeout
        self._made = 0

    def timeout(self) -> float | None:
        """Begin an attempt: the seconds that are left for it; None for ever."""
        self._made += 1
        return self._left()

    def wait_after(self, error: Image2PoemError) -> float:
        """The seconds to wait before the next attempt. Raises the error where there is to be none."""
        retry = self._retry
        if not isinstance(error, Unavailable) or self._made >= retry.attempts:
            raise error
        wait = error.retry_after
        if wait is None:
            wait = min(retry.wait * 2 ** (self._made - 1), retry.longest_wait)
        wait *= random.uniform(1, 1.25)
        left = self._left()
        if wait == float("inf") or (left is not None and wait >= left):
            raise error
        if retry.on_wait is not None:
            retry.on_wait(error, wait)
        return wait

    def _left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())
