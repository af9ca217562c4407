"""The gateway's options: flag, else IMAGE2POEM_WEB_* variable, else default. Parsed once, then frozen."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

_PREFIX = "IMAGE2POEM_WEB_"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Each field is the flag `--field-name` and the variable IMAGE2POEM_WEB_FIELD_NAME. Raises ValueError."""

    listen: str = field(default="127.0.0.1:8080", metadata={"help": "HOST:PORT of the page; port 0 is free"})
    target: str = field(default="localhost:50051", metadata={"help": "the gRPC server behind it"})
    hosts: str = field(
        default="",
        metadata={"help": "names that browsers may call it by, with commas; on loopback, only its own"},
    )
    max_upload_bytes: int = field(default=6 * 2**20, metadata={"help": "largest picture in bytes"})
    rate: float = field(default=60.0, metadata={"help": "requests a minute and address; 0 sets no bound"})
    timeout: float = field(default=60.0, metadata={"help": "seconds that a call to the server may take"})
    trust_proxy: str = field(
        default="", metadata={"help": "addresses whose X-Forwarded-For is believed, with commas"}
    )

    def __post_init__(self) -> None:
        host, colon, port = self.listen.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"listen: must be HOST:PORT, not {self.listen!r}")
        for name, lowest in {"max_upload_bytes": 1024, "rate": 0, "timeout": 1}.items():
            if not getattr(self, name) >= lowest:
                raise ValueError(f"{name}: must be at least {lowest}, not {getattr(self, name)}")

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def allowed_hosts(self) -> list[str]:
        """A page on loopback answers to loopback's names alone: no other site's name can be bent to it."""
        if self.hosts:
            return self.hosts.split(",")
        host = self.address[0]
        return list(_LOOPBACK_NAMES) if host == "localhost" or _is_loopback(host) else ["*"]


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The options of a command line and an environment. Exits with 2 and advice where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m web",
        description="Serve the page of image2poem. Each flag --some-name is also IMAGE2POEM_WEB_SOME_NAME.",
    )
    for option in fields(Config):
        kind: Any = type(option.default)
        variable = environment.get(_PREFIX + option.name.upper())
        parser.add_argument(
            "--" + option.name.replace("_", "-"),
            type=kind,
            # argparse runs a default that is text through `type`.
            default=variable or option.default,
            help=f"{option.metadata['help']} (default: {option.default or 'none'})",
        )
    try:
        return Config(**vars(parser.parse_args(arguments)))
    except ValueError as error:
        parser.error(str(error))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
