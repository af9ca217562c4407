"""Who may call what. Decided by a call's metadata, before a byte of its message is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio

from server import telemetry
from server.callers import identity
from server.errors import PermissionDenied, Unauthenticated, guarded
from server.handlers import Behaviour, changed
from server.reloading import Reloaded
from server.tokens import Grant, Tokens

_OPEN = ("grpc.health.v1.Health",)
_SCOPES = {"image2poem.v1.PoemService": "compose"}
# Of all that is not named: IndexAdminService, reflection, and what may come.
_STRICTEST = "admin"


class Gate(grpc.aio.ServerInterceptor):
    """Lets calls pass that come with a token of the right scope; health is open to all."""

    def __init__(self, tokens: Reloaded[Tokens]) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        service = handler_call_details.method.removeprefix("/").rpartition("/")[0]
        if handler is None or service in _OPEN:
            return handler
        try:
            grant = self._grant(handler_call_details.invocation_metadata or ())
            scope = _SCOPES.get(service, _STRICTEST)
            if scope not in grant.scopes:
                raise PermissionDenied(f"the token {grant.name} has not the scope {scope}")
        except (Unauthenticated, PermissionDenied) as error:
            return _refusing(error)
        if not service.startswith("image2poem."):
            return handler
        return changed(handler, lambda behaviour: _named(grant.name, behaviour))

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


def _named(name: str, behaviour: Behaviour) -> Behaviour:
    async def named(request: Any, context: Any) -> Any:
        # Each call is a task with a context of its own: nothing to set back.
        identity.set(f"token {name}")
        telemetry.note(token=name)
        return await behaviour(request, context)

    return named


def _refusing(error: Exception) -> Any:
    """A handler for any method that ends the call without reading what it sent."""

    async def refuse(requests: Any, context: Any) -> None:
        raise error

    return grpc.stream_stream_rpc_method_handler(guarded(refuse))
