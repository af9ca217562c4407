"""A server's methods, with layers of behaviour around them: what is told of calls, what errors mean.

The layers are put around a method once, at its first call. Interceptors of grpc.aio would be run, and would
make the handler anew, at every call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import grpc

Behaviour = Callable[[Any, Any], Awaitable[Any]]

# By whether requests, and whether responses, are a stream.
_SHAPES: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class Layer(Protocol):
    """Changes what methods do."""

    def around(self, service: str, method: str, handler: Any) -> Any:
        """The handler of a method with this layer around it, or as it was; `service` is the full name."""


class Guard(Protocol):
    """Says who may call, before anything of the message is taken."""

    def refusal(self, service: str, metadata: Sequence[tuple[str, str | bytes]]) -> Any:
        """A handler that ends the call, or None for one that may go on. It runs in the call's own task."""


class Methods(grpc.GenericRpcHandler):
    """All methods of a server: services are added to it as to a server, and a server is made of it."""

    def __init__(self, layers: Sequence[Layer], guard: Guard | None = None) -> None:
        """`layers`: the outermost first; they are around what the guard refuses too."""
        self._layers = layers
        self._guard = guard
        self._services: list[grpc.GenericRpcHandler] = []
        self._ready: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """What the generated functions that add a service call."""
        self._services += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Nothing: gRPC would take these methods as they are, and ask nobody."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None where there is no such method."""
        path = handler_call_details.method
        handler = self._ready.get(path)
        if handler is None:
            found = (service.service(handler_call_details) for service in self._services)
            handler = next(filter(None, found), None)
            if handler is None:
                return None
            handler = self._ready[path] = self._wrapped(path, handler)
        if self._guard is not None:
            metadata = handler_call_details.invocation_metadata or ()
            refusal = self._guard.refusal(path[1:].rpartition("/")[0], metadata)
            if refusal is not None:
                return self._wrapped(path, refusal)
        return handler

    def _wrapped(self, path: str, handler: Any) -> Any:
        service, _, method = path[1:].rpartition("/")
        for layer in reversed(self._layers):
            handler = layer.around(service, method, handler)
        return handler


def changed(handler: Any, change: Callable[[Behaviour], Behaviour], *, read: Any = None) -> Any:
    """The same handler with `change` made to its behaviour, a coroutine of (request or requests, context).

    `read` takes the place of what makes a request of bytes.
    """
    name, make = _SHAPES[handler.request_streaming, handler.response_streaming]
    behaviour = change(getattr(handler, name))
    return make(behaviour, read or handler.request_deserializer, handler.response_serializer)
