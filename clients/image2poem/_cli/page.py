"""Where a poem is written: in rows from left to right, or in columns from right to left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from image2poem._cli.terminal import columns

_BLANK = "\u3000"
_GAP = "  "


class Page(Protocol):
    """Takes a poem as it is written, or whole."""

    def character(self, line: int, text: str) -> None:
        """One character; lines come in their order."""

    def line(self, number: int) -> None:
        """The line is complete."""

    def whole(self, lines: Sequence[str]) -> None:
        """A poem of which nothing was written before."""

    def close(self) -> None:
        """No more of this poem will come."""


class Rows:
    """A line a row, with its punctuation."""

    def __init__(self, out: TextIO, paint: Callable[[str], str] = str) -> None:
        self._out = out
        self._paint = paint
        self._open = False

    def character(self, line: int, text: str) -> None:
        self._open = True
        self._say(text)

    def line(self, number: int) -> None:
        self._open = False
        # A couplet's first line ends in a comma, its second in a full stop.
        self._say("。" if number % 2 else "，", "\n")

    def whole(self, lines: Sequence[str]) -> None:
        for number, text in enumerate(lines):
            self.character(number, text)
            self.line(number)

    def close(self) -> None:
        if self._open:
            self._say("……", "\n")

    def _say(self, text: str, after: str = "") -> None:
        self._out.write(self._paint(text) + after)
        self._out.flush()


class Columns:
    """A line a column, the first at the right, without punctuation, as poems are written by hand.

    On a terminal (`live`) the page is drawn anew for each character. Elsewhere it is written when it is
    complete.
    """

    def __init__(
        self, out: TextIO, lines: int, *, live: bool = False, paint: Callable[[str], str] = str
    ) -> None:
        self._out = out
        self._count = lines
        self._live = live and shutil.get_terminal_size().columns > columns(column_rows(["春"], lines)[0])
        self._paint = paint
        self._lines: list[str] = []
        self._height = 0

    def character(self, line: int, text: str) -> None:
        while len(self._lines) <= line:
            self._lines.append("")
        self._lines[line] += text
        if self._live:
            self._draw()

    def line(self, number: int) -> None:
        """A column has no punctuation."""

    def whole(self, lines: Sequence[str]) -> None:
        self._lines = list(lines)
        self._draw()

    def close(self) -> None:
        if self._lines and not self._height:
            self._draw()

    def _draw(self) -> None:
        rows = column_rows(self._lines, self._count)
        up = f"\x1b[{self._height}A\r" if self._height else ""
        end = "\x1b[K\n" if self._live else "\n"
        self._out.write(up + "".join(self._paint(row) + end for row in rows))
        self._out.flush()
        self._height = len(rows)


def column_rows(lines: Sequence[str], count: int) -> list[str]:
    """The rows of a page of at least `count` columns; the lines fill the first ones from the right."""
    height = max(map(len, lines), default=0)
    columns = [line.ljust(height, _BLANK) for line in lines]
    columns += [_BLANK * height] * (count - len(columns))
    return [_GAP.join(column[row] for column in reversed(columns)).rstrip() for row in range(height)]
