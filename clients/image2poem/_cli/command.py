"""What all commands share: the options of the connection, and the client that follows from them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from image2poem._cli.security import add_security, security_of
from image2poem.client import DEFAULT_RETRY, DEFAULT_TARGET, DEFAULT_TIMEOUT, Client
from image2poem.errors import Image2PoemError
from image2poem.retry import Retry

Commands = argparse._SubParsersAction  # What `add_subparsers` gives has no public name.
OnWait = Callable[[Image2PoemError, float], None]


def add_command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    text: str,
    *,
    json: bool = True,
) -> argparse.ArgumentParser:
    """A subcommand with the options of the connection; `run` gives its exit status, None for 0."""
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_connection(command)
    if json:
        command.add_argument("--json", action="store_true", help="print JSON, one object a line")
    command.set_defaults(run=run)
    return command


def add_connection(command: argparse.ArgumentParser) -> None:
    """The options that `connect` reads."""
    command.add_argument(
        "--target",
        default=os.environ.get("IMAGE2POEM_TARGET") or DEFAULT_TARGET,
        metavar="HOST:PORT",
        help=f"the server; else IMAGE2POEM_TARGET, else {DEFAULT_TARGET}",
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="S",
        help="give up after so many seconds (60)",
    )
    command.add_argument(
        "--retries",
        type=whole_number(0),
        default=DEFAULT_RETRY.attempts - 1,
        metavar="N",
        help="call again so often where the server is busy or away (3)",
    )
    add_security(command)


def connect(options: argparse.Namespace, on_wait: OnWait | None = None) -> Client:
    """The client that the options ask for; use it with `with`. See `Retry` for `on_wait`."""
    return Client(**connection_of(options, on_wait))


def connection_of(options: argparse.Namespace, on_wait: OnWait | None = None) -> dict[str, Any]:
    """The arguments of either client that the options ask for."""
    return {
        "target": options.target,
        "timeout": options.timeout,
        "retry": Retry(attempts=options.retries + 1, on_wait=on_wait),
        **security_of(options),
    }


def whole_number(least: int) -> Callable[[str], int]:
    """For argparse: whole numbers from this one on."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, not {text}")
        return value

    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value
