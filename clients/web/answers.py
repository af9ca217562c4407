"""Answers as browsers get them: values and failures as JSON, poems as server-sent events."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import JSONResponse

from image2poem import (
    DeadlineExceeded,
    Event,
    Image2PoemError,
    InvalidRequest,
    Overloaded,
    RequestTooLarge,
    Unavailable,
)
from web.wish import BadRequest

log = logging.getLogger("image2poem.web")

# The first that fits.
_STATUS: tuple[tuple[type[Image2PoemError], int, str], ...] = (
    (RequestTooLarge, 413, "TOO_LARGE"),
    (InvalidRequest, 400, "INVALID_OPTION"),
    (Overloaded, 503, "OVERLOADED"),
    (Unavailable, 503, "UNAVAILABLE"),
    (DeadlineExceeded, 504, "DEADLINE_EXCEEDED"),
    (Image2PoemError, 502, "INTERNAL"),
)


async def server_sent(events: AsyncIterator[Event]) -> AsyncIterator[ServerSentEvent]:
    """Each event under its class's name; `failed` where the poem ends early. Leaving it ends the call."""
    # Leaving the outer generator must leave the inner one at once, not when it is collected.
    async with aclosing(events) as inner:  # type: ignore[type-var]
        try:
            async for event in inner:
                yield _event(type(event).__name__.lower(), asdict(event))
        except Image2PoemError as error:
            yield _event("failed", failure(error)[1])


def failure(error: Image2PoemError) -> tuple[int, dict[str, Any]]:
    """Status and body: `reason` for programs, `message` for people, `retry_after` in seconds or null."""
    status, reason = next((status, reason) for kind, status, reason in _STATUS if isinstance(error, kind))
    wait = error.retry_after
    body = {
        "reason": error.reason or reason,
        "message": str(error),
        "retry_after": wait if wait is not None and math.isfinite(wait) else None,
    }
    return status, body


async def answer_failure(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Image2PoemError)
    status, body = failure(error)
    return JSONResponse(body, status_code=status)


async def answer_bad_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BadRequest)
    return JSONResponse({"reason": error.reason, "message": str(error)}, status_code=error.status)


async def answer_defect(_: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", exc_info=error)
    return JSONResponse({"reason": "INTERNAL", "message": "internal error"}, status_code=500)


def _event(kind: str, value: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(json.dumps(value, ensure_ascii=False), event=kind, sep="\n")
