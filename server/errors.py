"""One table from exceptions to gRPC status codes and reasons, and the one place that applies it.

exception                              status                reason
InvalidImage                           INVALID_ARGUMENT      INVALID_IMAGE
InvalidOption, InvalidVector           INVALID_ARGUMENT      INVALID_OPTION
DecodeError (of protobuf)              INVALID_ARGUMENT      INVALID_OPTION
ImpossibleRules                        INVALID_ARGUMENT      IMPOSSIBLE_RULES
PromptTooLong                          INVALID_ARGUMENT      PROMPT_TOO_LONG
UnknownModel                           NOT_FOUND             UNKNOWN_MODEL
Overloaded                             RESOURCE_EXHAUSTED    OVERLOADED, with grpc-retry-pushback-ms
DeadlineTooShort                       RESOURCE_EXHAUSTED    DEADLINE_TOO_SHORT, with the same
TooManyStreams                         RESOURCE_EXHAUSTED    TOO_MANY_STREAMS, with the same
NotReady                               UNAVAILABLE           NOT_READY
Draining                               UNAVAILABLE           DRAINING
Unhealthy                              UNAVAILABLE           UNHEALTHY
EngineStopped                          UNAVAILABLE           UNHEALTHY; another poem starts the engine anew
IndexUnreachable                       UNAVAILABLE           UNHEALTHY; it is on another machine
Unauthenticated                        UNAUTHENTICATED       UNAUTHENTICATED
PermissionDenied                       PERMISSION_DENIED     PERMISSION_DENIED
InvalidKeywordList                     INVALID_ARGUMENT      INVALID_KEYWORD_LIST
IndexMissing                           NOT_FOUND             UNKNOWN_INDEX_VERSION
CorruptArtifact, EncoderMismatch,      FAILED_PRECONDITION   INDEX_REFUSED
  RecallTooLow
RebuildRunning                         FAILED_PRECONDITION   REBUILD_RUNNING
RebuildFailed                          ABORTED               REBUILD_FAILED
anything else                          INTERNAL              INTERNAL, fixed text, traceback in the log
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from index_builder.artifact import EncoderMismatch, IndexMissing, RecallTooLow
from index_builder.index import IndexUnreachable, InvalidVector
from index_builder.keywords import InvalidKeywordList
from models.bundle import CorruptArtifact
from models.image import InvalidImage
from models.prompt import PromptTooLong
from models.prosody import ImpossibleRules
from models.sampling import InvalidOption
from models.tasks import EngineStopped
from server import telemetry
from server.admission import DeadlineTooShort, Draining, Overloaded, TooManyStreams, Unhealthy
from server.catalog import NotReady, UnknownModel
from server.handlers import Behaviour, changed
from server.index_rebuild import RebuildFailed, RebuildRunning

REASON_KEY = "image2poem-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
INTERNAL_TEXT = "internal error; the server's log tells more"


class Unauthenticated(Exception):
    """The call has no token, or one that is not known."""


class PermissionDenied(Exception):
    """The call's token does not allow the method."""


@dataclass(frozen=True)
class Failure:
    """How an exception looks to a caller; `reason` is a value of ErrorReason, without its prefix."""

    code: grpc.StatusCode
    reason: str


TABLE: dict[type[BaseException], Failure] = {
    InvalidImage: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE"),
    InvalidOption: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION"),
    InvalidVector: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION"),
    DecodeError: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_OPTION"),
    ImpossibleRules: Failure(grpc.StatusCode.INVALID_ARGUMENT, "IMPOSSIBLE_RULES"),
    PromptTooLong: Failure(grpc.StatusCode.INVALID_ARGUMENT, "PROMPT_TOO_LONG"),
    UnknownModel: Failure(grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL"),
    Overloaded: Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    DeadlineTooShort: Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT"),
    TooManyStreams: Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
    NotReady: Failure(grpc.StatusCode.UNAVAILABLE, "NOT_READY"),
    Draining: Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    Unhealthy: Failure(grpc.StatusCode.UNAVAILABLE, "UNHEALTHY"),
    EngineStopped: Failure(grpc.StatusCode.UNAVAILABLE, "UNHEALTHY"),
    IndexUnreachable: Failure(grpc.StatusCode.UNAVAILABLE, "UNHEALTHY"),
    Unauthenticated: Failure(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    PermissionDenied: Failure(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    InvalidKeywordList: Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_KEYWORD_LIST"),
    IndexMissing: Failure(grpc.StatusCode.NOT_FOUND, "UNKNOWN_INDEX_VERSION"),
    CorruptArtifact: Failure(grpc.StatusCode.FAILED_PRECONDITION, "INDEX_REFUSED"),
    EncoderMismatch: Failure(grpc.StatusCode.FAILED_PRECONDITION, "INDEX_REFUSED"),
    RecallTooLow: Failure(grpc.StatusCode.FAILED_PRECONDITION, "INDEX_REFUSED"),
    RebuildRunning: Failure(grpc.StatusCode.FAILED_PRECONDITION, "REBUILD_RUNNING"),
    RebuildFailed: Failure(grpc.StatusCode.ABORTED, "REBUILD_FAILED"),
}
INTERNAL = Failure(grpc.StatusCode.INTERNAL, "INTERNAL")

Context = grpc.aio.ServicerContext[Any, Any]


def failure_of(error: BaseException) -> Failure:
    """The table's entry for the exception's class or the nearest one that it is derived from."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


class Boundary:
    """Around every method of this package's services: maps what it raises, unary or mid-stream."""

    def around(self, service: str, method: str, handler: Any) -> Any:
        if not service.startswith("image2poem."):
            return handler
        return changed(handler, guarded, read=_reader(handler))


@dataclass(frozen=True)
class _Unreadable:
    """In the place of a request whose bytes are no message: gRPC itself would call that UNKNOWN."""

    error: DecodeError


def _reader(handler: Any) -> Callable[[bytes], Any] | None:
    """What makes one request of bytes; None for a stream of them, which is read by the behaviour."""

    def read(data: bytes) -> Any:
        try:
            return handler.request_deserializer(data)
        except DecodeError as error:
            return _Unreadable(error)

    return None if handler.request_streaming else read


def guarded(behaviour: Behaviour) -> Behaviour:
    """The same behaviour, with what it raises mapped by the table."""

    async def guard(request: Any, context: Context) -> Any:
        try:
            return await _mapped(behaviour, request, context)
        except grpc.aio.InternalError:
            # The client left while something was sent to it, before gRPC knew; else it would log a traceback.
            raise asyncio.CancelledError from None

    return guard


async def _mapped(behaviour: Behaviour, request: Any, context: Context) -> Any:
    try:
        if isinstance(request, _Unreadable):
            raise request.error
        return await behaviour(request, context)
    except grpc.aio.BaseError:
        # gRPC's own: the call has a status already, or ended under the handler.
        raise
    except Exception as error:
        await _abort(error, context)


async def _abort(error: Exception, context: Context) -> NoReturn:
    failure = failure_of(error)
    telemetry.note(reason=failure.reason)
    text = str(error)
    if failure is INTERNAL:
        telemetry.log.error("a request failed", exc_info=error)
        text = INTERNAL_TEXT
    # These take the place of the trailing metadata that are set already.
    metadata = [*(context.trailing_metadata() or ()), (REASON_KEY, failure.reason)]
    if isinstance(error, Overloaded):
        metadata.append((PUSHBACK_KEY, str(error.retry_after_ms)))
    await context.abort(failure.code, text, tuple(metadata))
