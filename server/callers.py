"""Who calls: the name that fairness goes by, and the deadline."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar
from typing import Any

from server.admission import Caller

# The name of the token that the call came with; empty where the server asks for none.
identity: ContextVar[str] = ContextVar("identity", default="")


def caller_of(context: Any) -> Caller:
    """The caller of a grpc.aio servicer context.

    Its name is that of its token, else of its certificate, else its host. All who come through one proxy
    are one host: give them tokens.
    """
    remaining = context.time_remaining()
    token = identity.get()
    return Caller(
        name=f"token {token}" if token else _common_name(context) or _host(context.peer()),
        deadline=math.inf if remaining is None else time.monotonic() + remaining,
    )


def _common_name(context: Any) -> str:
    names = context.auth_context().get("x509_common_name", ())
    return "certificate " + names[0].decode(errors="replace") if names else ""


def _host(peer: str) -> str:
    """Of `ipv4:192.0.2.1:50000`, `ipv6:%5B2001:db8::1%5D:50000` or `unix:/path`; without the port."""
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else kind
