"""The port: how connections are kept, how long they may last, what they may carry, and TLS."""

from __future__ import annotations

from typing import Any

import grpc.aio

from server import tls
from server.config import Config
from server.handlers import Methods

# A client that has vanished without a word is noticed within both together, and its places are free.
_PING_AFTER_MS, _PONG_WITHIN_MS = 60_000, 20_000
# Clients behind NATs need to ping more often than gRPC's default of once in five minutes.
_CLIENT_PINGS_EVERY_MS = 10_000
# Lookups and health watches use streams of a connection too.
_STREAMS_BESIDE_POEMS = 2


class CannotListen(Exception):
    """The address is taken, or not ours."""


def new_server(config: Config, methods: Methods) -> grpc.aio.Server:
    """A server of these methods, and of those that they are given until it starts, with no port."""
    return grpc.aio.server(handlers=[methods], options=options(config))


def open_port(server: grpc.aio.Server, config: Config) -> str:
    """Open the port, with TLS where that is configured; returns HOST:PORT.

    Raises CannotListen, or UnusableFile where certificates are wrong.
    """
    credentials = tls.credentials(config)
    try:
        if credentials is None:
            port = server.add_insecure_port(config.listen)
        else:
            port = server.add_secure_port(config.listen, credentials)
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {config.listen}: is it taken?") from error
    return f"{config.listen.rpartition(':')[0]}:{port}"


def options(config: Config) -> list[tuple[str, Any]]:
    """gRPC's arguments of a server."""
    chosen = [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        # Two servers on one port would share its connections silently.
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _CLIENT_PINGS_EVERY_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", _PING_AFTER_MS),
        ("grpc.keepalive_timeout_ms", _PONG_WITHIN_MS),
    ]
    if config.connection_age:
        chosen += [
            ("grpc.max_connection_age_ms", round(config.connection_age * 1000)),
            ("grpc.max_connection_age_grace_ms", round(config.connection_grace * 1000)),
        ]
    if config.client_streams:
        chosen.append(("grpc.max_concurrent_streams", config.client_streams * _STREAMS_BESIDE_POEMS))
    return chosen
