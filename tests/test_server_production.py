"""The production profile, and options that must not stand together."""

from __future__ import annotations

import pytest

from server import production
from server.config import Config, parse
from server.transport import options

TLS = ["--tls-certificate", "chain.pem", "--tls-key", "key.pem"]
EVERYWHERE = ["--listen", "0.0.0.0:50051"]


def test_production_turns_off_what_only_development_needs():
    config = parse(["--production"], {})
    assert (config.reflection, config.admin, config.log_format) == (False, False, "json")
    assert parse([], {"IMAGE2POEM_PRODUCTION": "yes"}).reflection is False
    assert (parse([], {}).reflection, parse([], {}).admin) == (True, False)


def test_what_is_set_expressly_stays():
    config = parse(["--production", "--reflection"], {"IMAGE2POEM_LOG_FORMAT": "text"})
    assert (config.reflection, config.log_format) == (True, "text")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--production", *EVERYWHERE], "does not serve 0.0.0.0:50051 in the clear"),
        (["--production", "--listen", "[::]:50051"], "in the clear"),
        ([*EVERYWHERE, "--tokens", "t"], "tokens: would come to 0.0.0.0:50051 in the clear"),
        (["--production", "--admin"], "admin: --production offers it to tokens"),
        (["--tls-certificate", "chain.pem"], "tls_certificate, tls_key: give both or neither"),
        (["--tls-key", "key.pem"], "give both or neither"),
        (["--tls-client-roots", "roots.pem"], "tls_client_roots: needs tls_certificate"),
        (["--grace", "inf"], "grace: must be a number of seconds"),
        (["--connection-age", "-1"], "connection_age: must be at least 0"),
        (["--client-streams", "-1"], "client_streams: must be at least 0"),
        (["--stall", "0"], "stall: must be at least 0.1"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_named(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as caught:
        parse(arguments, {})
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--production"],
        ["--production", "--listen", "[::1]:50051", "--tokens", "t", "--admin"],
        ["--production", *EVERYWHERE, *TLS, "--tokens", "t", "--admin"],
        ["--production", *EVERYWHERE, "--plaintext", "--tokens", "t"],
        [*EVERYWHERE],
        [*EVERYWHERE, *TLS, "--tls-client-roots", "roots.pem"],
    ],
    ids=str,
)
def test_what_goes_together_passes(arguments):
    parse(arguments, {})


def test_root_is_refused_in_production_and_warned_of_elsewhere(monkeypatch, caplog):
    monkeypatch.setattr(production.telemetry.log, "propagate", True)
    monkeypatch.setattr(production.os, "geteuid", lambda: 0)
    with pytest.raises(production.NotForRoot, match="does not run as root"):
        production.check_user(production=True)
    production.check_user(production=False)
    assert "runs as root" in caplog.text
    caplog.clear()
    monkeypatch.setattr(production.os, "geteuid", lambda: 1000)
    production.check_user(production=True)
    assert caplog.text == ""


def test_a_production_server_does_not_start_as_root(monkeypatch, capsys):
    from server import __main__ as program

    monkeypatch.setattr(production.os, "geteuid", lambda: 0)
    monkeypatch.setattr(program.sys, "argv", ["server", "--production"])
    assert program.main() == 1
    assert "server: --production does not run as root" in capsys.readouterr().err


def test_connections_have_an_age_an_end_and_so_many_streams():
    given = dict(options(Config(connection_age=60.0, connection_grace=10.0, client_streams=8)))
    assert given["grpc.max_connection_age_ms"] == 60_000
    assert given["grpc.max_connection_age_grace_ms"] == 10_000
    assert given["grpc.max_concurrent_streams"] == 16
    unbounded = dict(options(Config(connection_age=0, client_streams=0)))
    assert not {"grpc.max_connection_age_ms", "grpc.max_concurrent_streams"} & set(unbounded)
