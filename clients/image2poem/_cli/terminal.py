"""What a terminal can show: colour, columns, and a line that says what is waited for."""

from __future__ import annotations

import os
import shutil
import threading
import time
import unicodedata
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TextIO

# SGR parameters of ECMA-48.
BOLD, DIM, RED, GREEN, YELLOW, CYAN, SEAL = "1", "2", "31", "32", "33", "36", "97;41"
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.1
# What is over sooner is not announced: it would only flicker.
_PATIENCE = 0.25


def obeys(out: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody watches on a terminal that obeys escape sequences."""
    return out.isatty() and environment.get("TERM") != "dumb"


def columns(text: str) -> int:
    """How many columns a terminal gives it."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


class Style:
    """Colours what goes to a terminal, unless NO_COLOR is set (no-color.org)."""

    def __init__(self, out: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self.coloured = obeys(out, environment) and not environment.get("NO_COLOR")

    def paint(self, text: str, kind: str) -> str:
        return f"\x1b[{kind}m{text}\x1b[0m" if self.coloured and kind else text


class Waiting:
    """A line on a terminal that says what is waited for and for how long; nothing anywhere else.

    Use it with `with`. The line stands where the cursor is: call `say` at the start of a line only, and
    `clear` before anything else is printed there.
    """

    def __init__(self, out: TextIO, *, shown: bool) -> None:
        self._out = out
        self._text = ""
        self._since = 0.0
        self._drawn = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True) if shown else None

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self.clear()

    def say(self, text: str) -> None:
        """What is waited for from now on; a text while another stands keeps its clock."""
        with self._lock:
            if not self._text:
                self._since = time.monotonic()
            self._text = text

    def clear(self) -> None:
        """Wait for nothing."""
        with self._lock:
            self._text = ""
            if self._drawn:
                self._write("\r\x1b[K")
                self._drawn = False

    def _turn(self) -> None:
        frame = 0
        while not self._over.wait(_FRAME_SECONDS):
            with self._lock:
                waited = time.monotonic() - self._since
                if self._text and waited > _PATIENCE:
                    frame += 1
                    self._draw(f"{_FRAMES[frame % len(_FRAMES)]} {self._text} {waited:.0f} s")

    def _draw(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        while columns(line) > width:
            line = line[:-1]
        self._write(f"\r\x1b[K{line}")
        self._drawn = True

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
