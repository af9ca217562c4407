"""The client's command line against a real server: what it prints, and its exit status."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import image2poem
from fakes import BROKEN_PICTURE, PICTURE, GatedPoet, eventually
from image2poem.__main__ import main

SOURCES = str(Path(image2poem.__file__).resolve().parent.parent)


@pytest.fixture
def run(server, capsys, monkeypatch):
    """Runs a command, and gives its exit status, output and errors."""
    monkeypatch.setenv("IMAGE2POEM_TARGET", server.target)

    def run(*arguments):
        try:
            status = main(arguments)
        except SystemExit as left:
            status = left.code
        return status, *capsys.readouterr()

    return run


def spawn(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": SOURCES, **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "image2poem", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_compose_for_people(run, picture):
    status, out, err = run("compose", picture, "--form", "wujue", "--seed", "5")
    assert (status, err) == (0, "")
    keywords, empty, *poem, blank, closing = out.splitlines()
    assert keywords.startswith("意象：")
    assert len(keywords.split()) == 8
    assert (empty, blank) == ("", "")
    assert [len(line) for line in poem] == [6] * 4
    assert [line[-1] for line in poem] == ["，", "。", "，", "。"]
    assert closing.startswith("五绝 · t5 · ")
    assert closing.endswith(" s · seed 5")
    assert (
        run("compose", picture, "--form", "wujue", "--seed", "5")[1].splitlines()[:-1]
        == out.splitlines()[:-1]
    )


def test_compose_for_programs(run, picture):
    status, out, err = run("compose", picture, "--json", "--seed", "5", "--top-k", "3")
    assert (status, err) == (0, "")
    events = objects(out)
    assert [event["event"] for event in events] == ["retrieved"] + (["token"] * 7 + ["line"]) * 4 + [
        "finished"
    ]
    assert set(events[0]) == {"event", "keywords", "index_version"}
    assert [set(keyword) for keyword in events[0]["keywords"]] == [{"text", "score"}] * 3
    assert set(events[1]) == {"event", "candidate", "line", "position", "id", "text", "log_probability"}
    assert set(events[8]) == {"event", "candidate", "line", "text"}
    end = events[-1]
    assert end["poem"] == [event["text"] for event in events if event["event"] == "line"]
    assert (end["seed"], end["index_version"], end["keywords"]) == (5, "index-1", events[0]["keywords"])
    assert (end["form"], end["poet"], end["finish_reason"], end["best_candidate"]) == (
        "qijue",
        "t5",
        "complete",
        0,
    )
    assert all(name.endswith("_ms") and value >= 0 for name, value in end["timings"].items())


def test_several_candidates_show_the_best_poem_only(run, picture):
    status, out, err = run("compose", picture, "--candidates", "4", "--seed", "5")
    assert (status, err) == (0, "")
    poem = out.splitlines()[2:6]
    assert "best of 4" in out.splitlines()[-1]
    events = objects(run("compose", picture, "--candidates", "4", "--seed", "5", "--json")[1])
    assert [line[:-1] for line in poem] == events[-1]["poem"]
    assert len(events[-1]["candidates"]) == 4


def test_compose_from_keywords_and_text(run):
    for separator in (",", "，", "、", " "):
        status, out, _ = run("compose", "--keywords", f"明月{separator}故乡", "--json")
        assert (status, [k["text"] for k in objects(out)[0]["keywords"]]) == (0, ["明月", "故乡"])
    status, out, _ = run("compose", "--text", "秋江", "--poet", "gpt2")
    assert (status, out.splitlines()[0].startswith("意象：秋江")) == (0, True)


def test_keywords(run, picture):
    status, out, _ = run("keywords", picture, "--json")
    [found] = objects(out)
    assert status == 0
    assert list(found) == ["keywords", "index_version"]
    assert (len(found["keywords"]), found["index_version"]) == (8, "index-1")
    assert set(found["keywords"][0]) == {"text", "score"}
    status, out, _ = run("keywords", "--text", "秋江", "--top-k", "2")
    assert (status, out.splitlines()[0]) == (0, " 1.000  秋江")


def test_info(run):
    status, out, _ = run("info", "--json")
    [info] = objects(out)
    assert (status, info["default_poet"], info["index"]["size"]) == (0, "t5", 12)
    status, out, _ = run("info")
    assert (status, "poet     t5 (default): t5, 五绝, 七绝" in out) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["compose"],
        ["compose", "a.jpg", "--keywords", "明月"],
        ["compose", "a.jpg", "--form", "sonnet"],
        ["compose", "a.jpg", "--top-k", "many"],
        ["compose", "a.jpg", "--timeout", "0"],
        ["compose", "--keywords", "，"],
        ["keywords"],
        ["keywords", "a.jpg", "--text", "秋江"],
        ["check"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "usage:" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["compose", "missing.jpg"], "missing.jpg"),
        (["compose", "PICTURE", "--top-k", "1000000"], "top_k: must be 1 to 64"),
        (["compose", "PICTURE", "--top-k", "0"], "top_k: must be 1 to 64"),
        (["compose", "PICTURE", "--poet", "libai"], "libai"),
        (["compose", "PICTURE", "--form", "qilv"], "qilv"),
        (["compose", "--keywords", "moon"], "Chinese"),
        (["compose", "--keywords", "坏"], "internal error"),
        (["keywords", "BROKEN"], "image"),
        (["keywords", "LARGE"], "larger"),
        (["info", "--target", "127.0.0.1:1", "--timeout", "5"], "no server answers at 127.0.0.1:1"),
    ],
    ids=str,
)
def test_failures_are_1_and_one_line(run, tmp_path, arguments, word):
    for name, data in (("PICTURE", PICTURE), ("BROKEN", BROKEN_PICTURE), ("LARGE", bytes(9 * 2**20))):
        (tmp_path / name).write_bytes(data)
        arguments = [str(tmp_path / name) if part == name else part for part in arguments]
    status, _, err = run(*arguments)
    assert status == 1
    assert err.startswith("image2poem: ")
    assert err.count("\n") == 1
    assert word in err


@pytest.fixture
def gated(serve):
    poet = GatedPoet()
    poet.let(20)
    yield serve(poets={"t5": poet}), poet
    poet.let(1000)


def test_characters_are_seen_as_they_are_written_whatever_the_locale(gated, picture):
    running, poet = gated
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    process = spawn("compose", picture, "--target", running.target, env=locale)
    out = io.BytesIO()
    while not out.getvalue().endswith(b"\n\n"):
        out.write(process.stdout.read(1))
    for _ in range(3):
        poet.let(1)
        assert len(process.stdout.read(3).decode()) == 1
    poet.let(100)
    rest, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert rest.decode().splitlines()[-1].startswith("七绝")


def test_ctrl_c_cancels_on_the_server(gated, picture):
    running, poet = gated
    poet.let(2)
    process = spawn("compose", picture, "--target", running.target, "--json")
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    # By the signal, which shells show as 130 and which ends their loops.
    assert process.returncode == -signal.SIGINT
    assert b"Traceback" not in err
    assert eventually(poet.stopped)
    poet.let(1)
    assert eventually(lambda: running.app.poems.admission.in_use == 0)


def test_a_reader_that_has_seen_enough_is_no_traceback(gated, picture):
    running, poet = gated
    process = spawn("compose", picture, "--target", running.target, "--json")
    process.stdout.readline()
    process.stdout.close()
    timer = threading.Timer(0, poet.let, [100])
    timer.start()
    assert process.wait(20) == 1
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    timer.join()
