"""How far a long command is: a bar on a terminal, elsewhere a line on stderr now and then, and at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress(total: int, *, verb: str = "embedded") -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with the words done and their total; both forms say rate and time left."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit=" words", file=sys.stderr) as bar:
            yield lambda done, total: _advance(bar, done)
    else:
        yield Lines(verb).report


def _advance(bar: tqdm, done: int) -> None:
    bar.update(done - bar.n)


class Lines:
    """Prints a line now and then."""

    def __init__(self, verb: str = "embedded") -> None:
        self._verb = verb
        self._began = self._last = time.monotonic()
        self._before: int | None = None

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._before is None:
            # What the cache had says nothing about the rate.
            self._before = done
        if done < total and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        print(f"{self._verb} {done} of {total}{self._rate(done, total, now)}", file=sys.stderr)

    def _rate(self, done: int, total: int, now: float) -> str:
        assert self._before is not None
        rate = (done - self._before) / max(now - self._began, 1e-9)
        if done == total or not rate:
            return ""
        return f", {rate:.0f} words/s, {(total - done) / rate:.0f} s left"
