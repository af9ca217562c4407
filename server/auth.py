"""Who may call what. Decided by a call's metadata, before a byte of its message is taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc

from server.callers import identity
from server.errors import PermissionDenied, Unauthenticated, guarded
from server.reloading import Reloaded
from server.tokens import Grant, Tokens

_OPEN = ("grpc.health.v1.Health",)
_SCOPES = {"image2poem.v1.PoemService": "compose"}
# Of all that is not named: IndexAdminService, reflection, and what may come.
_STRICTEST = "admin"


class Gate:
    """Lets calls pass that come with a token of the right scope; health is open to all."""

    def __init__(self, tokens: Reloaded[Tokens]) -> None:
        self._tokens = tokens

    def refusal(self, service: str, metadata: Sequence[tuple[str, str | bytes]]) -> Any:
        if service in _OPEN:
            return None
        try:
            grant = self._grant(metadata)
            scope = _SCOPES.get(service, _STRICTEST)
            if scope not in grant.scopes:
                raise PermissionDenied(f"the token {grant.name} has not the scope {scope}")
        except (Unauthenticated, PermissionDenied) as error:
            return _refusing(error)
        # Each call is a task with a context of its own: nothing to set back.
        identity.set(grant.name)
        return None

    def _grant(self, metadata: Iterable[tuple[str, str | bytes]]) -> Grant:
        """Raises Unauthenticated."""
        values = [value for key, value in metadata if key == "authorization"]
        if len(values) != 1:
            raise Unauthenticated("this server asks for a token (metadata authorization: Bearer TOKEN)")
        scheme, _, token = str(values[0]).partition(" ")
        grant = self._tokens.current().find(token.strip())
        if scheme.lower() != "bearer" or grant is None:
            raise Unauthenticated("the token is not known here")
        return grant


def _refusing(error: Exception) -> Any:
    """A handler for any method that ends the call without reading what it sent."""

    async def refuse(requests: Any, context: Any) -> None:
        raise error

    return grpc.stream_stream_rpc_method_handler(guarded(refuse))
