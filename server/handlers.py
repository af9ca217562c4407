"""A method's handler with its behaviour changed, whatever it takes and gives: one message or a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

Behaviour = Callable[[Any, Any], Awaitable[Any]]

# By whether requests, and whether responses, are a stream.
_SHAPES: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def changed(handler: Any, change: Callable[[Behaviour], Behaviour], *, read: Any = None) -> Any:
    """The same handler with `change` made to its behaviour, a coroutine of (request or requests, context).

    `read` takes the place of what makes a request of bytes.
    """
    name, make = _SHAPES[handler.request_streaming, handler.response_streaming]
    behaviour = change(getattr(handler, name))
    return make(behaviour, read or handler.request_deserializer, handler.response_serializer)
