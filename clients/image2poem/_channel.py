"""How both clients reach a server: in the clear or by TLS, with a token or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from image2poem.errors import InvalidOption

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def tls_credentials(
    *, roots: Path | str | None = None, certificate: Path | str | None = None, key: Path | str | None = None
) -> grpc.ChannelCredentials:
    """For the clients' `credentials`: TLS.

    Args:
        roots: PEM of the authorities that the server's certificate must be from; gRPC's own list by default.
        certificate, key: PEM of this client's chain and key, where the server asks for one. Both or neither.

    Raises OSError where a file cannot be read, InvalidOption where one of the two is missing.
    """
    if (certificate is None) != (key is None):
        raise InvalidOption("certificate, key: give both or neither")
    return grpc.ssl_channel_credentials(_bytes_of(roots), _bytes_of(key), _bytes_of(certificate))


def open_channel(
    target: str, credentials: grpc.ChannelCredentials | None, token: str | None = None
) -> grpc.Channel:
    """A channel that blocks; in the clear without credentials. Raises InvalidOption, see `_with_token`."""
    credentials = _with_token(target, credentials, token)
    options = _options(target)
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)


def open_aio_channel(
    target: str, credentials: grpc.ChannelCredentials | None, token: str | None = None
) -> grpc.aio.Channel:
    """The same for asyncio."""
    credentials = _with_token(target, credentials, token)
    options = _options(target)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def _with_token(
    target: str, credentials: grpc.ChannelCredentials | None, token: str | None
) -> grpc.ChannelCredentials | None:
    """Send the token with every call. Raises InvalidOption where it would leave this machine in the clear."""
    if not token:
        return credentials
    if credentials is None:
        if not _is_local(target):
            raise InvalidOption(f"token: goes by TLS or to this machine only, not to {target} in the clear")
        # In the clear, and gRPC itself refuses to connect to another machine with these.
        credentials = grpc.local_channel_credentials()
    return grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))


def _options(target: str) -> list[tuple[str, Any]]:
    """Go round among the servers; never to this machine by way of a proxy, whatever is said of others."""
    if _is_local(target):
        return [("grpc.enable_http_proxy", 0)]
    # Where a name has several addresses, each call goes to the next one that answers.
    return [("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}')]


def _is_local(target: str) -> bool:
    return target.rpartition("/")[2].rpartition(":")[0] in _LOOPBACK


def _bytes_of(file: Path | str | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
