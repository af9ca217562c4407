"""The server as a process: what it prints, its signals, its exit status, and that nothing imports torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import image2poem
from fakes import PICTURE
from image2poem import Client, Finished

TESTS = Path(__file__).resolve().parent
PATH = os.pathsep.join(
    [str(Path(image2poem.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
)


@contextmanager
def process(*arguments, fakes=True, **environment):
    program = [str(TESTS / "fake_server.py")] if fakes else ["-m", "server"]
    child = subprocess.Popen(
        [sys.executable, *program, "--listen", "127.0.0.1:0", *arguments],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def test_it_says_where_it_serves_and_stops_when_told(tmp_path):
    port_file = tmp_path / "port"
    with process("--port-file", str(port_file), "--log-format", "json") as child:
        said = json.loads(child.stdout.readline())
        assert (said["event"], said["pid"]) == ("serving", child.pid)
        while not port_file.exists():
            pass
        assert port_file.read_text() == said["address"] + "\n"
        with Client(said["address"], timeout=10) as client:
            assert isinstance(list(client.compose(picture=PICTURE, seed=1))[-1], Finished)
            with pytest.raises(image2poem.UnknownModel):
                list(client.compose(picture=PICTURE, poet="libai"))
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=20)
        assert (child.returncode, out) == (0, "")
        lines = [json.loads(line) for line in err.splitlines() if "runs as root" not in line]
        assert [line["message"] for line in lines] == [
            "starting", "serving", "request", "request", "draining", "stopped",
        ]  # fmt: skip
        poem, failed = lines[2:4]
        assert (poem["method"], poem["code"], poem["poet"], poem["form"]) == (
            "ComposePoem",
            "OK",
            "t5",
            "qijue",
        )
        assert poem["duration_ms"] >= poem["total_ms"] >= poem["encode_ms"] > 0
        assert (failed["code"], failed["reason"]) == ("NOT_FOUND", "UNKNOWN_MODEL")


def test_sigterm_lets_a_running_poem_finish():
    with process(FAKE_STEP_SECONDS="0.03") as child:
        address = json.loads(child.stdout.readline())["address"]
        with Client(address, timeout=20) as client:
            events = client.compose(picture=PICTURE)
            next(events)
            child.send_signal(signal.SIGTERM)
            assert isinstance(list(events)[-1], Finished)
        assert child.wait(20) == 0


def test_a_second_signal_ends_at_once():
    with process("--grace", "60", FAKE_STEP_SECONDS="0.2") as child:
        address = json.loads(child.stdout.readline())["address"]
        with Client(address, timeout=60) as client:
            events = client.compose(picture=PICTURE)
            next(events)
            child.send_signal(signal.SIGTERM)
            while "draining" not in child.stderr.readline():
                pass
            child.send_signal(signal.SIGTERM)
            assert child.wait(5) == -signal.SIGTERM


def test_a_worker_that_hangs_ends_the_process_for_its_supervisor_and_callers_hear_why():
    with process("--stall", "0.3", "--stall-exit", "0.5", FAKE_STEP_SECONDS="1000") as child:
        address = json.loads(child.stdout.readline())["address"]
        with Client(address, timeout=60, retry=None) as client:
            events = client.compose(picture=PICTURE)
            next(events)
            with pytest.raises(image2poem.Unhealthy, match="poems has made no progress"):
                list(events)
        assert child.wait(20) == 70
        log = child.stderr.read()
        assert "unhealthy" in log
        assert "lost" in log


def test_a_worker_that_hangs_does_not_keep_a_stopping_server():
    with process("--grace", "0.2", FAKE_STEP_SECONDS="1000") as child:
        address = json.loads(child.stdout.readline())["address"]
        with Client(address, timeout=60, retry=None) as client:
            events = client.compose(picture=PICTURE)
            next(events)
            child.send_signal(signal.SIGTERM)
            with pytest.raises(image2poem.Draining):
                list(events)
        assert child.wait(20) == 70


def test_a_wrong_file_is_one_clear_line(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("reader compose secret")
    with process("--tokens", str(path)) as child:
        out, err = child.communicate(timeout=30)
        assert (child.returncode, out) == (1, "")
        [line] = [line for line in err.splitlines() if line.startswith("server: ")]
        assert f"{path}:1: must be NAME SCOPES SHA256" in line
        assert "Traceback" not in err


def test_a_taken_port_is_one_clear_line(server):
    with process("--listen", server.target) as child:
        out, err = child.communicate(timeout=20)
        assert (child.returncode, out) == (1, "")
        [complaint] = [line for line in err.splitlines() if line.startswith("server: ")]
        assert server.target in complaint
        assert "Traceback" not in err


def test_a_missing_bundle_is_one_clear_line(tmp_path):
    with process("--encoder", str(tmp_path / "none"), fakes=False) as child:
        out, err = child.communicate(timeout=30)
        assert (child.returncode, out) == (1, "")
        [complaint] = [line for line in err.splitlines() if line.startswith("server: ")]
        assert str(tmp_path / "none") in complaint
        assert "Traceback" not in err


def test_wrong_usage_is_2():
    with process("--workers", "0", fakes=False) as child:
        assert child.wait(20) == 2


def test_nothing_that_serves_imports_torch():
    program = "import sys, server.app; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": PATH}
    assert subprocess.run([sys.executable, "-c", program], cwd=TESTS.parent, env=environment).returncode == 0
