"""The outermost layer: gives every call its id, and tells log, metrics and traces how it went.

A caller may choose the id by the metadata `x-request-id`. It comes back in the trailing metadata. Initial
metadata would have to go out before the first message, and a call whose headers have arrived is one that a
client's channel no longer repeats on another server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from server import telemetry
from server.callers import identity
from server.handlers import Behaviour, changed
from server.telemetry import Observer, Request

REQUEST_ID_KEY = "x-request-id"

_PACKAGE = "image2poem."
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


class Observation:
    """Around every method of this package's services; health and reflection are left alone."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        """`observers` are told of every call, in their order; more may come until the server starts."""
        self._observers = observers

    def around(self, service: str, method: str, handler: Any) -> Any:
        if not service.startswith(_PACKAGE):
            return handler

        def observed(behaviour: Behaviour) -> Behaviour:
            return self._observed(service, method, behaviour, streams=handler.response_streaming)

        return changed(handler, observed)

    def _observed(self, service: str, method: str, behaviour: Behaviour, *, streams: bool) -> Behaviour:
        async def observed(message: Any, context: Context) -> Any:
            pairs = context.invocation_metadata() or ()
            metadata = {key: value for key, value in pairs if isinstance(value, str)}
            id = telemetry.id_from(metadata.get(REQUEST_ID_KEY))
            request = Request(method, service=service, id=id)
            context.set_trailing_metadata(((REQUEST_ID_KEY, request.id),))
            seen: Any = _Stream(context, request, self._observers) if streams else context
            with telemetry.request(request):
                if name := identity.get():
                    request.notes["token"] = name
                for observer in self._observers:
                    observer.began(request, metadata)
                try:
                    response = await behaviour(message, seen)
                    request.end("OK")
                    return response
                except BaseException as error:
                    request.end(_code_of(error, context))
                    raise
                finally:
                    for observer in self._observers:
                        observer.ended(request)

        return observed


class _Stream:
    """The context of a call that streams, with an eye on its messages."""

    def __init__(self, context: Context, request: Request, observers: Sequence[Observer]) -> None:
        self._context = context
        self._request = request
        self._observers = observers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        await self._context.write(message)
        for observer in self._observers:
            observer.sent(self._request, message)


def _code_of(error: BaseException, context: Context) -> str:
    """The name of the status that a call ends with which raised `error`."""
    if isinstance(error, asyncio.CancelledError):
        remaining = context.time_remaining()
        return "CANCELLED" if remaining is None or remaining > 0 else "DEADLINE_EXCEEDED"
    if isinstance(error, grpc.aio.BaseError):
        # Without a status it is gRPC's own: the call ended under the handler, and there is nobody to tell.
        code = context.code() or grpc.StatusCode.CANCELLED
        return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")
    return "UNKNOWN"
