"""Clients of a server with TLS and tokens: the library, for both stacks, and the command line."""

from __future__ import annotations

import asyncio

import pytest

from certificates import Authority
from fakes import PICTURE
from image2poem import (
    AsyncClient,
    Client,
    Finished,
    InvalidOption,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    tls_credentials,
)
from image2poem.__main__ import main
from server.tokens import digest_of


@pytest.fixture
def secured(serve, tmp_path):
    """A server with mutual TLS and tokens, and what a client of it needs."""
    authority, clients = Authority(tmp_path, "server"), Authority(tmp_path, "client")
    files, own = authority.issue("127.0.0.1"), clients.issue("reader.example", name="reader")
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f"reader compose {digest_of('token-of-reader').hex()}\nrobot admin {digest_of('of-robot').hex()}\n"
    )
    running = serve(
        tls_certificate=files.certificate, tls_key=files.key, tls_client_roots=clients.root, tokens=tokens
    )
    return running, {"roots": authority.root, "certificate": own.certificate, "key": own.key}


def test_both_clients_come_in_with_certificate_and_token(secured):
    running, files = secured
    credentials = tls_credentials(**files)
    with Client(running.target, credentials=credentials, token="token-of-reader") as client:
        assert client.info().poets
        assert isinstance(list(client.compose(picture=PICTURE))[-1], Finished)

    async def compose():
        async with AsyncClient(running.target, credentials=credentials, token="token-of-reader") as client:
            return [event async for event in client.compose(picture=PICTURE)]

    assert isinstance(asyncio.run(compose())[-1], Finished)


def test_without_a_token_or_with_a_wrong_one_they_do_not(secured):
    running, files = secured
    credentials = tls_credentials(**files)
    for token, error in ((None, Unauthenticated), ("wrong", Unauthenticated), ("of-robot", PermissionDenied)):
        with Client(running.target, credentials=credentials, token=token) as client, pytest.raises(error):
            client.info()


def test_without_tls_or_a_certificate_there_is_no_connection(secured):
    running, files = secured
    for credentials in (None, tls_credentials(roots=files["roots"])):
        with (
            Client(running.target, credentials=credentials, token="token-of-reader", retry=None) as client,
            pytest.raises(Unavailable),
        ):
            client.info()


def test_a_token_never_leaves_the_machine_in_the_clear():
    for target in ("poems.example:50051", "dns:///192.0.2.1:50051", "localhost.example:1"):
        with pytest.raises(InvalidOption, match="TLS"):
            Client(target, token="secret")
    for target in ("localhost:50051", "dns:///localhost:50051", "[::1]:50051"):
        Client(target, token="secret").close()


def test_half_a_pair_of_files_is_refused(secured):
    _, files = secured
    with pytest.raises(InvalidOption, match="both or neither"):
        tls_credentials(certificate=files["certificate"])
    with pytest.raises(FileNotFoundError):
        tls_credentials(roots="/nowhere/roots.pem")


def options_of(running, files):
    return ["--target", running.target, *(f"--{name}={path}" for name, path in files.items())]


def test_the_command_line_takes_the_token_from_a_file(secured, tmp_path, capsys):
    running, files = secured
    file = tmp_path / "token"
    file.write_text("token-of-reader\n")
    assert main(["info", *options_of(running, files), "--token-file", str(file)]) == 0
    assert "t5" in capsys.readouterr().out


def test_the_command_line_takes_everything_from_the_environment(secured, monkeypatch, capsys):
    running, files = secured
    for name, path in files.items():
        monkeypatch.setenv(f"IMAGE2POEM_{name.upper()}", str(path))
    monkeypatch.setenv("IMAGE2POEM_TOKEN", "token-of-reader")
    monkeypatch.setenv("IMAGE2POEM_TARGET", running.target)
    assert main(["info"]) == 0
    monkeypatch.setenv("IMAGE2POEM_TOKEN", "wrong")
    assert main(["info"]) == 1
    assert capsys.readouterr().err == "image2poem: the token is not known here\n"


def test_the_command_line_explains_what_is_wrong(secured, monkeypatch, tmp_path, capsys):
    running, files = secured
    monkeypatch.delenv("IMAGE2POEM_TOKEN", raising=False)
    assert main(["info", *options_of(running, files)]) == 1
    assert "asks for a token" in capsys.readouterr().err
    assert main(["info", "--target", running.target, "--key", str(files["key"])]) == 1
    assert "give both or neither" in capsys.readouterr().err
    assert main(["info", "--target", running.target, "--roots", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
    monkeypatch.setenv("IMAGE2POEM_TOKEN", "secret")
    assert main(["info", "--target", "poems.example:50051"]) == 1
    assert "in the clear" in capsys.readouterr().err
