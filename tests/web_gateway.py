"""The gateway on a free port, in a thread of the test's process."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from web.app import create_app
from web.config import Config

TIMEOUT = 20.0


@contextmanager
def running_gateway(target: str, **options: Any) -> Iterator[str]:
    """Yields HOST:PORT."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = "{}:{}".format(*listener.getsockname())
    config = Config(listen=address, target=target, **{"rate": 0.0, **options})
    server = uvicorn.Server(
        uvicorn.Config(create_app(config), log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(TIMEOUT)
        listener.close()


def ask(
    address: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    """A request; a dict travels as JSON. The response is not read yet."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    if isinstance(body, dict):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    response.connection = connection  # type: ignore[attr-defined]
    return response


def server_sent(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream as (kind, value)."""
    kind = ""
    for raw in response:
        row = raw.decode().rstrip("\n")
        if row.startswith("event: "):
            kind = row.removeprefix("event: ")
        elif row.startswith("data: "):
            yield kind, json.loads(row.removeprefix("data: "))
