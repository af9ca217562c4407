"""The health check of containers, in the clear, by TLS and by mutual TLS, against a running server."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from certificates import Authority

PROGRAM = Path(__file__).resolve().parent.parent / "deploy" / "health.py"


@pytest.fixture
def check(monkeypatch):
    """Runs the program in this process."""
    spec = importlib.util.spec_from_file_location("health", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["health.py", *map(str, arguments)])
        return program.main()

    return run


def test_a_server_that_serves_is_healthy(check, server, capsys):
    assert check("--target", server.target, "--service", "image2poem.v1.PoemService") == 0
    assert capsys.readouterr().out == "SERVING\n"


def test_a_server_that_loads_is_not(check, serve, capsys):
    assert check("--target", serve(late=True).target) == 1
    assert capsys.readouterr().out == "NOT_SERVING\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--target", "127.0.0.1:1"), "UNAVAILABLE"), (("--service", "unheard.of"), "NOT_FOUND")],
)
def test_no_server_or_no_such_service_is_one_word(check, server, capsys, arguments, word):
    assert check("--target", server.target, *arguments) == 1
    assert capsys.readouterr().err == f"{word}\n"


def test_by_tls_as_the_overlay_does(check, serve, tmp_path):
    authority = Authority(tmp_path, "ours")
    files = authority.issue("image2poem")
    running = serve(tls_certificate=files.certificate, tls_key=files.key)
    there = ("--target", running.target, "--roots", authority.root)
    assert check(*there, "--name", "image2poem") == 0
    assert check(*there, "--name", "elsewhere") == 1
    assert check("--target", running.target) == 1


def test_by_mutual_tls(check, serve, tmp_path):
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path / "clients", "theirs")
    files, mine = ours.issue("image2poem"), theirs.issue("probe")
    running = serve(tls_certificate=files.certificate, tls_key=files.key, tls_client_roots=theirs.root)
    there = ("--target", running.target, "--roots", ours.root, "--name", "image2poem")
    assert check(*there, "--certificate", mine.certificate, "--key", mine.key) == 0
    assert check(*there) == 1
