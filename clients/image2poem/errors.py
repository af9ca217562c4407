"""What can go wrong, for callers.

    Image2PoemError
    ├── InvalidRequest            the request is wrong; the same one will fail again
    │   ├── InvalidImage          the picture is damaged, too large in pixels, or none
    │   ├── InvalidOption         a field is missing or outside its limits
    │   ├── ImpossibleRules       no poem can keep these rules together
    │   ├── PromptTooLong         the keywords take more room than the poet has
    │   ├── RequestTooLarge       the message has more bytes than the server takes
    │   ├── UnknownModel          there is no poet of that name
    │   ├── InvalidKeywordList    the list of a rebuild cannot be read, or nothing is left of it
    │   ├── UnknownIndexVersion   there is no such version of the index, or none to roll back to
    │   └── IndexRefused          the server cannot serve that version of the index
    ├── Unavailable               it may work later, or elsewhere
    │   ├── Overloaded            all places are taken; `retry_after` says when to come again
    │   │   ├── DeadlineTooShort  the timeout would pass before the request began
    │   │   └── TooManyStreams    this client has as many requests there as one may have
    │   ├── NotReady              the server is still loading
    │   ├── Draining              the server is stopping
    │   ├── Unhealthy             a worker of the server has crashed or hangs
    │   └── RebuildRunning        another rebuild of the index is running
    ├── AccessDenied              the server asks who is calling
    │   ├── Unauthenticated       no token, or one that it does not know
    │   └── PermissionDenied      the token does not allow the method
    ├── DeadlineExceeded          the timeout passed first
    ├── Cancelled                 the call was cancelled on this side
    ├── NotOffered                this server does not offer the method
    ├── ServerError               a defect on the other side
    │   └── RebuildFailed         the index could not be built
    └── MissingExtra              a package of an extra of this one is not installed

Classes follow from the status code and the reason in the trailing metadata, never from the message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

REASON_KEY = "image2poem-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"


class Image2PoemError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status code; None where the request never left.
        reason: a name of the contract's ErrorReason, without its prefix; None where gRPC itself failed.
        retry_after: seconds after which the server wants to be asked again; None where it does not say,
            infinite where it wants not to be.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class InvalidRequest(Image2PoemError):
    """The request is wrong; the same one will fail again."""


class InvalidImage(InvalidRequest):
    """The picture is damaged, too large in pixels, or no picture."""


class InvalidOption(InvalidRequest):
    """A field is missing or outside its limits; the message names both."""


class ImpossibleRules(InvalidRequest):
    """No poem can keep these rules together; the message names the conflict."""


class PromptTooLong(InvalidRequest):
    """The keywords take more room than the poet has."""


class RequestTooLarge(InvalidRequest):
    """The message has more bytes than the server takes."""


class UnknownModel(InvalidRequest):
    """The server has no poet of that name."""


class InvalidKeywordList(InvalidRequest):
    """The list cannot be read, or no keyword is left of it; the message says why."""


class UnknownIndexVersion(InvalidRequest):
    """The server has no such version of the index, or none to roll back to."""


class IndexRefused(InvalidRequest):
    """The server cannot serve that version of the index; the message says why."""


class Unavailable(Image2PoemError):
    """No server there, or none that takes work now; it may work later, or elsewhere."""


class Overloaded(Unavailable):
    """All places are taken."""


class DeadlineTooShort(Overloaded):
    """As busy as the server is, the timeout would pass before the request began."""


class TooManyStreams(Overloaded):
    """This client has as many requests there as one may have."""


class NotReady(Unavailable):
    """The server is still loading its models."""


class Draining(Unavailable):
    """The server is stopping."""


class Unhealthy(Unavailable):
    """A worker of the server has crashed or hangs."""


class RebuildRunning(Unavailable):
    """Another rebuild of the index is running."""


class AccessDenied(Image2PoemError):
    """The server asks who is calling, and this one may not."""


class Unauthenticated(AccessDenied):
    """The call had no token, or one that the server does not know."""


class PermissionDenied(AccessDenied):
    """The token is known, but does not allow the method."""


class DeadlineExceeded(Image2PoemError):
    """The timeout passed before the call was over."""


class Cancelled(Image2PoemError):
    """The call was cancelled on this side."""


class NotOffered(Image2PoemError):
    """This server does not offer the method."""


class ServerError(Image2PoemError):
    """A defect on the other side; its log tells more."""


class RebuildFailed(ServerError):
    """The index could not be built; the message says why."""


class MissingExtra(Image2PoemError):
    """A package that this needs is an extra of `image2poem-client`, and is not installed."""


BY_REASON: dict[str, type[Image2PoemError]] = {
    "INVALID_IMAGE": InvalidImage,
    "INVALID_OPTION": InvalidOption,
    "IMPOSSIBLE_RULES": ImpossibleRules,
    "PROMPT_TOO_LONG": PromptTooLong,
    "UNKNOWN_MODEL": UnknownModel,
    "OVERLOADED": Overloaded,
    "DEADLINE_TOO_SHORT": DeadlineTooShort,
    "TOO_MANY_STREAMS": TooManyStreams,
    "NOT_READY": NotReady,
    "DRAINING": Draining,
    "UNHEALTHY": Unhealthy,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "INTERNAL": ServerError,
    "INVALID_KEYWORD_LIST": InvalidKeywordList,
    "UNKNOWN_INDEX_VERSION": UnknownIndexVersion,
    "INDEX_REFUSED": IndexRefused,
    "REBUILD_RUNNING": RebuildRunning,
    "REBUILD_FAILED": RebuildFailed,
}
# For statuses of gRPC itself, and for reasons that this version of the client does not know.
_BY_CODE: dict[grpc.StatusCode, type[Image2PoemError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNIMPLEMENTED: NotOffered,
    # The service itself always gives a reason with this one; gRPC says it of messages above the limit.
    grpc.StatusCode.RESOURCE_EXHAUSTED: RequestTooLarge,
}


def from_status(
    code: grpc.StatusCode, message: str | None, trailing: Iterable[tuple[str, str | bytes]] | None
) -> Image2PoemError:
    """The error for a call that ended with this status, message and trailing metadata."""
    metadata = {str(key): str(value) for key, value in trailing or ()}
    reason = metadata.get(REASON_KEY)
    kind = BY_REASON.get(reason or "") or _BY_CODE.get(code, ServerError)
    return kind(
        message or code.name,
        code=code,
        reason=reason,
        retry_after=_seconds(metadata.get(PUSHBACK_KEY)),
    )


def _seconds(pushback: str | None) -> float | None:
    """By gRPC's proposal A6: what is negative or no number asks not to be called again."""
    if pushback is None:
        return None
    return int(pushback) / 1000 if pushback.isdecimal() else math.inf


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn gRPC's error, of either stack, into this package's."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error
        raise from_status(call.code(), call.details(), call.trailing_metadata()) from error
