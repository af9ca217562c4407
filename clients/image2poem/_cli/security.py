"""Options for TLS and tokens. A token comes from a file or the environment: a command line is seen by all."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from image2poem._channel import tls_credentials

_FILES = {
    "roots": "PEM of the authorities that the server's certificate must be from",
    "certificate": "PEM of this client's certificate chain",
    "key": "PEM of its private key",
}


def add_security(command: argparse.ArgumentParser) -> None:
    """The options that `security_of` reads."""
    group = command.add_argument_group("security")
    group.add_argument("--tls", action="store_true", help="connect by TLS; so do the files below")
    for name, text in _FILES.items():
        variable = f"IMAGE2POEM_{name.upper()}"
        group.add_argument(
            f"--{name}",
            type=Path,
            default=os.environ.get(variable) or None,
            metavar="FILE",
            help=f"{text}; else {variable}",
        )
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file that holds the token; else IMAGE2POEM_TOKEN"
    )


def security_of(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments `credentials` and `token` of either client. Raises OSError or InvalidOption."""
    files = {name: getattr(options, name) for name in _FILES}
    secure = options.tls or any(files.values())
    if options.token_file is not None:
        token = options.token_file.read_text(encoding="utf-8").strip()
    else:
        token = os.environ.get("IMAGE2POEM_TOKEN")
    return {"credentials": tls_credentials(**files) if secure else None, "token": token or None}
