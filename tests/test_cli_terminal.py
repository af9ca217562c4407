"""What `compose` and `batch` look like on a terminal, and that none of it reaches a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from fakes import GatedPoet, eventually
from image2poem._cli.page import column_rows
from screen import Screen
from test_cli import SOURCES, spawn


@pytest.fixture
def gated(serve):
    poet = GatedPoet()
    poet.let(20)
    yield serve(poets={"t5": poet}), poet
    poet.let(1000)


def compose(target, *arguments, **environment):
    return Screen(sys.executable, "compose", *arguments, "--target", target, **environment)


def test_columns_run_from_right_to_left():
    assert column_rows(["春江", "潮"], 3) == ["\u3000  潮  春", "\u3000  \u3000  江"]
    assert column_rows(["春江", "潮水"], 2) == ["潮  春", "水  江"]
    assert column_rows([], 4) == []


def test_keywords_are_seals_and_the_rest_is_the_same_as_in_a_pipe(server, picture):
    with compose(server.target, picture, "--seed", "5") as screen:
        assert screen.wait() == 0
    assert b"\x1b[97;41m " in screen.raw
    piped = spawn("compose", picture, "--seed", "5", "--target", server.target).communicate(timeout=20)[0]
    assert b"\x1b" not in piped
    headline, *poem = piped.decode().splitlines()
    seals, *shown = screen.shown().splitlines()
    assert seals.split() == headline.removeprefix("意象：").split()
    assert shown[:-1] == poem[:-1]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colour_where_none_is_wanted(server, picture, environment):
    with compose(server.target, picture, **environment) as screen:
        assert screen.wait() == 0
    assert not re.search(rb"\x1b\[[\d;]+m", screen.raw)
    assert "意象：" in screen.shown()
    assert "NO_COLOR" in environment or b"\x1b" not in screen.raw


def half_written(screen):
    """The rows of a page with seven rows and a second column; none before it is there."""
    rows = [row for row in screen.shown().splitlines() if row.startswith("\u3000  \u3000  ")]
    return rows if len(rows) == 7 and rows[0][6] != "\u3000" else []


def test_a_poem_grows_in_columns(gated, picture):
    running, poet = gated
    with compose(running.target, picture, "--vertical", "--line-choices", "1") as screen:
        screen.until("writing")
        # A column of seven and the first character of the next.
        poet.let(8)
        while not (rows := half_written(screen)):
            assert screen.read()
        assert [row[6] != "\u3000" for row in rows] == [True] + [False] * 6
        poet.let(100)
        assert screen.wait() == 0
    whole = [row for row in screen.shown().splitlines() if row[1:3] == "  "]
    assert len(whole) == 7
    assert not any("\u3000" in row for row in whole)
    assert "writing" not in screen.shown()


def test_columns_in_a_pipe_are_written_once(server, picture):
    arguments = ("compose", picture, "--seed", "5", "--target", server.target)
    rows = spawn(*arguments).communicate(timeout=20)[0].decode().splitlines()[2:6]
    out = spawn(*arguments, "--vertical").communicate(timeout=20)[0].decode()
    assert "\x1b" not in out
    assert out.splitlines()[2:9] == column_rows([row[:-1] for row in rows], 4)


def test_what_is_waited_for_is_said_and_goes_away(gated, picture):
    running, poet = gated
    with compose(running.target, picture) as screen:
        screen.until("writing")
        poet.let(28)
        assert screen.wait() == 0
    assert "writing" not in screen.shown()
    with compose(running.target, picture, "--candidates", "3") as screen:
        poet.let(5)
        screen.until("writing 3 poems: ")
        poet.let(100)
        assert screen.wait() == 0
    assert "writing" not in screen.shown()


def test_a_server_that_is_not_there_is_waited_for_aloud(picture):
    with compose("127.0.0.1:1", picture) as screen:
        screen.until("no server yet, again in")
        assert screen.wait() == 1
    assert "no server answers at 127.0.0.1:1" in screen.shown()


def test_timings_when_asked(server, picture):
    process = spawn("compose", picture, "--timings", "--target", server.target)
    there, here = process.communicate(timeout=20)[0].decode().splitlines()[-2:]
    assert there.startswith("server: first character ")
    assert " encode " in there
    assert here.startswith("here: first character ")


def test_a_batch_has_a_bar(server, picture, tmp_path):
    out = tmp_path / "poems.jsonl"
    arguments = ("batch", picture, "--out", str(out), "--target", server.target)
    with Screen(sys.executable, *arguments) as screen:
        assert screen.wait() == 0
    assert "█ 1/1  ".encode() in screen.raw
    assert screen.shown().startswith("1 written; ")


def test_ctrl_c_on_the_terminal(gated, picture):
    running, poet = gated
    with compose(running.target, picture) as screen:
        screen.until("writing")
        screen.process.send_signal(signal.SIGINT)
        assert screen.wait() == -signal.SIGINT
        assert "interrupted" in screen.shown()
        assert "Traceback" not in screen.shown()
        assert eventually(poet.stopped)
        poet.let(1)
        assert eventually(lambda: running.app.poems.admission.in_use == 0)


@pytest.mark.parametrize("trap", ["", "trap : INT; "], ids=["plain", "trapped"])
def test_shells_see_130_and_their_loops_end(gated, picture, trap):
    """Ctrl-C as a terminal sends it, to the whole group. Shells go on where a program just exits with 130."""
    program = f'"{sys.executable}" -m image2poem compose "{picture}" --json'
    script = f"{trap}for number in 1 2; do {program}; echo status $?; break; done"
    shell = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "PYTHONPATH": SOURCES, "IMAGE2POEM_TARGET": gated[0].target},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert b"retrieved" in shell.stdout.readline()
    os.killpg(shell.pid, signal.SIGINT)
    out, err = shell.communicate(timeout=20)
    assert err.count(b"interrupted") == 1
    if trap:
        assert (shell.returncode, b"status 130" in out) == (0, True)
    else:
        assert (shell.returncode, b"status" in out) == (-signal.SIGINT, False)
