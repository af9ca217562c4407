"""The production profile: what it changes, and what it does not let pass."""

from __future__ import annotations

import os
from typing import Any

from server import telemetry

# Defaults that take the place of the ordinary ones; what is set expressly stays.
_DEFAULTS: dict[str, Any] = {"reflection": False, "log_format": "json"}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class NotForRoot(Exception):
    """The server would run with rights that it does not need."""


def profile(given: dict[str, Any]) -> dict[str, Any]:
    """The defaults that follow from the options that were given."""
    return _DEFAULTS if given.get("production") else {}


def check(*, production: bool, listen: str, tls: bool, plaintext: bool, tokens: bool, admin: bool) -> None:
    """Raises ValueError where what others reach would be open, or tokens could be read on the way.

    Args:
        production, listen, plaintext, admin: as in Config.
        tls, tokens: whether Config has them.
    """
    in_the_clear = listen.rpartition(":")[0] not in _LOOPBACK and not tls and not plaintext
    advice = (
        "give --tls-certificate and --tls-key, or --plaintext where something in front of the server encrypts"
    )
    if in_the_clear and tokens:
        raise ValueError(f"tokens: would come to {listen} in the clear; {advice}")
    if in_the_clear and production:
        raise ValueError(f"listen: --production does not serve {listen} in the clear; {advice}")
    if production and admin and not tokens:
        raise ValueError("admin: --production offers it to tokens with the scope admin alone; give --tokens")


def check_user(*, production: bool) -> None:
    """Raises NotForRoot in production; elsewhere root is warned of in the log."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    advice = "start it as a user without rights of its own"
    if production:
        raise NotForRoot(f"--production does not run as root: {advice}")
    telemetry.log.warning("runs as root", extra={"fields": {"advice": advice}})
