"""On a terminal a bar, in a file a line now and then."""

from __future__ import annotations

import io

from models.training import progress_bar as module
from models.training.progress_bar import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(monkeypatch, stream: io.StringIO, *, count: int, **options) -> str:
    """What a bar that moves `count` times leaves on standard error."""
    with monkeypatch.context() as patched:
        patched.setattr("sys.stderr", stream)
        with progress_bar(**options) as bar:
            for _ in range(count):
                bar.set_postfix({"loss": "4.300"}, refresh=False)
                bar.update(1)
    return stream.getvalue()


def test_a_file_gets_few_lines(monkeypatch):
    said = written(monkeypatch, io.StringIO(), count=4000, total=5000, done=1000, unit="step")
    assert "\r" not in said
    first, last = said.split("\n")[:2]
    assert "1000/5000" in first
    assert all(part in last for part in ("5000/5000", "step/s", "loss=4.300"))
    assert said.count("step/s") == 2


def test_a_file_gets_a_line_after_each_pause(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    said = written(monkeypatch, io.StringIO(), count=20, total=20, done=0, unit="step")
    assert all(f"{step}/20" in said for step in range(21))


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch):
    said = written(monkeypatch, Terminal(), count=60, total=60, done=0, unit="s")
    assert "\r" in said
    assert "<00:00, loss=4.300" in said
    assert "s/s" not in said


def test_processes_beside_the_first_one_are_silent(monkeypatch):
    assert written(monkeypatch, Terminal(), count=60, total=60, done=0, unit="s", shown=False) == ""
