"""How far a run is, how fast it goes and what time is left: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys

from tqdm import tqdm

# Seconds between two lines in a file.
_PAUSE = 30.0
# By the clock, the speed in seconds a second is none.
_TIMED = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"


class _Lines(tqdm):
    """Lines, where a bar that is drawn over itself would leave thousands of carriage returns."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        print(str(self) if msg is None else msg, file=self.fp, flush=True)


def progress_bar(*, total: float, done: float, unit: str, shown: bool = True) -> tqdm:
    """A bar of `total` steps or seconds, `done` of them behind it, on standard error."""
    drawn = sys.stderr.isatty()
    return (tqdm if drawn else _Lines)(
        total=total,
        initial=done,
        unit=unit,
        disable=not shown,
        mininterval=0.1 if drawn else _PAUSE,
        # A fixed number keeps tqdm from trusting its guess of how many steps fit into the pause.
        miniters=1,
        dynamic_ncols=drawn,
        bar_format=_TIMED if unit == "s" else None,
    )
