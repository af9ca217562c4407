"""The command line: serve the page until SIGTERM or SIGINT."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence

import uvicorn

from web.app import create_app
from web.config import Config, parse

GRACE_SECONDS = 5
# Each may hold a picture in memory.
MOST_CONNECTIONS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the address cannot be had."""
    config = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    try:
        listener = _listen(config)
    except OSError as error:
        print(f"web: cannot listen on {config.listen}: {error.strerror}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(json.dumps({"event": "serving", "url": f"http://{shown}:{port}/", "pid": os.getpid()}), flush=True)
    uvicorn.Server(_settings(config)).run(sockets=[listener])
    return 0


def _listen(config: Config) -> socket.socket:
    host, port = config.address
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    # From now on browsers that come wait, and are not refused.
    listener.listen()
    return listener


def _settings(config: Config) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(config),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.trust_proxy),
        forwarded_allow_ips=config.trust_proxy or None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=MOST_CONNECTIONS,
    )


if __name__ == "__main__":
    sys.exit(main())
