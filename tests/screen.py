"""A terminal for tests: a program on a pseudo-terminal, and what a person sees of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from test_cli import SOURCES

_PIECES = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|(\r|\n)|(.)")


class Screen:
    """Runs `python -m image2poem …` with a terminal of `columns` × 24 as its output; use it with `with`."""

    def __init__(self, python: str, *arguments: str, columns: int = 80, **environment: str) -> None:
        self.raw = b""
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        self.process = subprocess.Popen(
            [python, "-m", "image2poem", *arguments],
            env={**inherited, "PYTHONPATH": SOURCES, "TERM": "xterm", **environment},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._own)

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Read until the text stands on the screen."""
        end = time.monotonic() + seconds
        while text not in self.shown():
            assert time.monotonic() < end, f"{text!r} is not in {self.shown()!r}"
            assert self.read(), f"{text!r} is not in {self.shown()!r} at the end"

    def wait(self) -> int:
        """Read to the end; the exit status."""
        while self.read():
            pass
        return self.process.wait(20)

    def shown(self) -> str:
        """The screen as it is now: rows with the effects of the escape sequences that the program uses."""
        rows, row, column = [""], 0, 0
        for number, order, turn, letter in _PIECES.findall(self.raw.decode("utf-8", "ignore")):
            if turn == "\n":
                row += 1
                rows += [""] * (row == len(rows))
            elif turn == "\r":
                column = 0
            elif order == "A":
                row -= int(number)
            elif order == "K":
                rows[row] = rows[row][:column]
            elif letter:
                rows[row] = rows[row][:column].ljust(column) + letter + rows[row][column + 1 :]
                column += 1
        return "\n".join(rows)

    def read(self) -> bool:
        """Read what comes next; False at the end."""
        ready, _, _ = select.select([self._own], [], [], 20)
        assert ready, "the program says nothing"
        try:
            data = os.read(self._own, 65536)
        except OSError:
            data = b""  # What Linux says when the other end is closed.
        self.raw += data
        return bool(data)
