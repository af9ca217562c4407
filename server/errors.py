"""One table from exceptions to gRPC status codes and reasons, and the one place that applies it.

exception                              status                reason
InvalidImage                           INVALID_ARGUMENT      INVALID_IMAGE
InvalidOption, InvalidVector           INVALID_ARGUMENT      INVALID_OPTION
ImpossibleRules                        INVALID_ARGUMENT      IMPOSSIBLE_RULES
PromptTooLong                          INVALID_ARGUMENT      PROMPT_TOO_LONG
UnknownModel                           NOT_FOUND             UNKNOWN_MODEL
Overloaded                             RESOURCE_EXHAUSTED    OVERLOADED, with grpc-retry-pushback-ms
NotReady                               UNAVAILABLE           NOT_READY
Draining                               UNAVAILABLE           DRAINING
anything else                          INTERNAL              INTERNAL, fixed text, traceback in the log
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio

from index_builder.index import InvalidVector
from models.image import InvalidImage
from models.prompt import PromptTooLong
from models.prosody import ImpossibleRules
from models.sampling import InvalidOption
from server import telemetry
from server.catalog import NotReady, UnknownModel
from server.scheduling import Draining, Overloaded
from server.service import SERVICE_NAME

REASON_KEY = "image2poem-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
INTERNAL_TEXT = "internal error; the server's log tells more"


@dataclass(frozen=True)
class Failure:
    """How an exception looks to a caller; `reason` is a value of ErrorReason, without its prefix."""

    code: grpc.StatusCode
    reason: str


TABLE: dict[type[BaseException], Failure] = {
    InvalidImage: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE"),
    InvalidOption: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION"),
    InvalidVector: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION"),
    ImpossibleRules: Failure(grpc.StatusCode.INVALID_ARGUMENT, "IMPOSSIBLE_RULES"),
    PromptTooLong: Failure(grpc.StatusCode.INVALID_ARGUMENT, "PROMPT_TOO_LONG"),
    UnknownModel: Failure(grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL"),
    Overloaded: Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    NotReady: Failure(grpc.StatusCode.UNAVAILABLE, "NOT_READY"),
    Draining: Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING"),
}
INTERNAL = Failure(grpc.StatusCode.INTERNAL, "INTERNAL")

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Any]]


def failure_of(error: BaseException) -> Failure:
    """The table's entry for the exception's class or the nearest one that it is derived from."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


class Boundary(grpc.aio.ServerInterceptor):
    """Wraps every method of PoemService: maps what it raises, unary or mid-stream, and logs how it ended."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        prefix, _, method = handler_call_details.method.rpartition("/")
        if handler is None or prefix != f"/{SERVICE_NAME}":
            return handler
        if handler.response_streaming:
            wrap, behaviour = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        else:
            wrap, behaviour = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        return wrap(_guarded(method, behaviour), handler.request_deserializer, handler.response_serializer)


def _guarded(method: str, behaviour: Handler) -> Handler:
    async def guarded(request: Any, context: Context) -> Any:
        started = time.perf_counter()
        with telemetry.request(method) as notes:
            try:
                response = await behaviour(request, context)
                notes["code"] = "OK"
                return response
            except asyncio.CancelledError:
                notes["code"] = _why_cancelled(context)
                raise
            except grpc.aio.BaseError:
                # gRPC's own: the call ended under the handler, and there is nobody to tell.
                notes["code"] = "CANCELLED"
                raise
            except Exception as error:
                notes["code"] = failure_of(error).code.name
                await _abort(error, context)
            finally:
                notes["duration_ms"] = (time.perf_counter() - started) * 1000

    return guarded


def _why_cancelled(context: Context) -> str:
    remaining = context.time_remaining()
    return "CANCELLED" if remaining is None or remaining > 0 else "DEADLINE_EXCEEDED"


async def _abort(error: Exception, context: Context) -> NoReturn:
    failure = failure_of(error)
    telemetry.note(reason=failure.reason)
    text = str(error)
    if failure is INTERNAL:
        telemetry.log.error("a request failed", exc_info=error)
        text = INTERNAL_TEXT
    metadata = [(REASON_KEY, failure.reason)]
    if isinstance(error, Overloaded):
        metadata.append((PUSHBACK_KEY, str(error.retry_after_ms)))
    await context.abort(failure.code, text, tuple(metadata))
