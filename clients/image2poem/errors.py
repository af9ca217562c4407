"""What can go wrong, for callers.

    Image2PoemError
    ├── InvalidRequest            the request is wrong; the same one will fail again
    │   ├── InvalidImage          the picture is damaged, too large in pixels, or none
    │   ├── InvalidOption         a field is missing or outside its limits
    │   ├── ImpossibleRules       no poem can keep these rules together
    │   ├── PromptTooLong         the keywords take more room than the poet has
    │   ├── RequestTooLarge       the message has more bytes than the server takes
    │   └── UnknownModel          there is no poet of that name
    ├── Unavailable               it may work later, or elsewhere
    │   ├── Overloaded            all places are taken; `retry_after` says when to come again
    │   ├── NotReady              the server is still loading
    │   └── Draining              the server is stopping
    ├── DeadlineExceeded          the timeout passed first
    ├── Cancelled                 the call was cancelled on this side
    ├── NotOffered                this server does not offer the method
    └── ServerError               a defect on the other side

Classes follow from the status code and the reason in the trailing metadata, never from the message.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc

REASON_KEY = "image2poem-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"


class Image2PoemError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status code; None where the request never left.
        reason: a name of the contract's ErrorReason, without its prefix; None where gRPC itself failed.
        retry_after: seconds after which the server wants to be asked again; None where it does not say.
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


class Unavailable(Image2PoemError):
    """No server there, or none that takes work now; it may work later, or elsewhere."""


class Overloaded(Unavailable):
    """All places are taken."""


class NotReady(Unavailable):
    """The server is still loading its models."""


class Draining(Unavailable):
    """The server is stopping."""


class DeadlineExceeded(Image2PoemError):
    """The timeout passed before the call was over."""


class Cancelled(Image2PoemError):
    """The call was cancelled on this side."""


class NotOffered(Image2PoemError):
    """This server does not offer the method."""


class ServerError(Image2PoemError):
    """A defect on the other side; its log tells more."""


BY_REASON: dict[str, type[Image2PoemError]] = {
    "INVALID_IMAGE": InvalidImage,
    "INVALID_OPTION": InvalidOption,
    "IMPOSSIBLE_RULES": ImpossibleRules,
    "PROMPT_TOO_LONG": PromptTooLong,
    "UNKNOWN_MODEL": UnknownModel,
    "OVERLOADED": Overloaded,
    "NOT_READY": NotReady,
    "DRAINING": Draining,
    "INTERNAL": ServerError,
}
# For statuses of gRPC itself, and for reasons that this version of the client does not know.
_BY_CODE: dict[grpc.StatusCode, type[Image2PoemError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
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
    pushback = metadata.get(PUSHBACK_KEY, "")
    return kind(
        message or code.name,
        code=code,
        reason=reason,
        retry_after=int(pushback) / 1000 if pushback.isdecimal() else None,
    )
