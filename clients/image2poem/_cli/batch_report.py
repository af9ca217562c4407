"""How far a batch is: a bar on a terminal, failures as they come, and a line at the end."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from image2poem._cli.terminal import RED, Style, columns

_BAR = 24


class BatchReport:
    """Counts pictures and prints what people want to know of them; use it with `with`."""

    def __init__(self, out: TextIO, total: int, *, skipped: int, live: bool) -> None:
        self.written = 0
        self.failed = 0
        self._out = out
        self._total = total
        self._skipped = skipped
        self._live = live
        self._style = Style(out)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()
        counts = [f"{self.written} written"]
        counts += [f"{self.failed} failed"] * bool(self.failed)
        counts += [f"{self._skipped} there already"] * bool(self._skipped)
        left = self._total - self.written - self.failed
        counts += [f"{left} left"] * bool(left)
        seconds = time.monotonic() - self._began
        rate = f", {self.written / seconds:.1f} a second" if self.written else ""
        self._say(f"{', '.join(counts)}; {seconds:.1f} s{rate}\n")

    def succeed(self) -> None:
        self.written += 1
        self._draw()

    def fail(self, picture: Path, error: Exception) -> None:
        self.failed += 1
        self._clear()
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        self._say(f"{self._style.paint('failed', RED)} {picture}: {reason}\n")
        self._draw()

    def _draw(self) -> None:
        if not self._live or not self._total:
            return
        done = self.written + self.failed
        filled = _BAR * done // self._total
        seconds = time.monotonic() - self._began
        pace = (
            f"  {done / seconds:.1f}/s  {_clock((self._total - done) * seconds / done)} left" if done else ""
        )
        failed = f"  {self.failed} failed" if self.failed else ""
        line = f"{'█' * filled}{'░' * (_BAR - filled)} {done}/{self._total}{pace}{failed}"
        width = shutil.get_terminal_size().columns - 1
        while columns(line) > width:
            line = line[:-1]
        self._say(f"\r\x1b[K{line}")

    def _clear(self) -> None:
        if self._live:
            self._say("\r\x1b[K")

    def _say(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _clock(seconds: float) -> str:
    """1:05, or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
