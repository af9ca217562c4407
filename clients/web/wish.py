"""What a browser asks for: a picture as the body and the rest in the query's `wish`, or JSON alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

MOST_JSON_BYTES = 64 * 1024
# A telephone on a poor line sends a shrunk picture in less.
BODY_SECONDS = 60.0

NUMBER = (int, float)
# As image2poem.wishes names them; fields of no listed type are refused before they come near a message.
COMPOSE: dict[str, Any] = {
    "keywords": list,
    "text": str,
    "poet": str,
    "form": str,
    "subject": str,
    "top_k": int,
    "candidates": int,
    "line_choices": int,
    "seed": int,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "regulated": bool,
    "pattern": str,
    "rhyme_book": str,
    "rhyme_group": str,
    "acrostic": str,
    "fixed_texts": list,
}
LOOKUP: dict[str, Any] = {"text": str, "top_k": int}
CHECK: dict[str, Any] = {"text": str, "rhyme_book": str}
CARD: dict[str, Any] = {
    "poem": list,
    "title": str,
    "subtitle": str,
    "keywords": list,
    "seal": str,
    "language": str,
    "scale": NUMBER,
}


class BadRequest(Exception):
    """The browser's request is wrong; the message says how."""

    status, reason = 400, "INVALID_OPTION"


class TooLarge(BadRequest):
    """The body has more bytes than are taken."""

    status, reason = 413, "TOO_LARGE"


class TooSlow(BadRequest):
    """The body did not arrive in time; nobody holds memory here by sending a byte now and then."""

    status, reason = 408, "TOO_SLOW"


class WrongType(BadRequest):
    """The body is neither JSON nor a picture. A form of another site can send neither without asking."""

    status, reason = 415, "INVALID_OPTION"


@dataclass(frozen=True)
class Wish:
    """Checked fields, and the picture's bytes where there was one."""

    fields: dict[str, Any]
    picture: bytes | None


async def read_wish(request: Request, shape: Mapping[str, Any], *, max_bytes: int) -> Wish:
    """Raises BadRequest, TooLarge, TooSlow or WrongType."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind == "application/json":
        return Wish(_fields(await _body(request, MOST_JSON_BYTES), shape), None)
    if kind.startswith("image/") or kind == "application/octet-stream":
        fields = _fields(request.query_params.get("wish", "{}").encode(), shape)
        return Wish(fields, await _body(request, max_bytes))
    raise WrongType("send JSON, or a picture")


async def _body(request: Request, most: int) -> bytes:
    """The whole body; refused unread where it says that it is too long, and as soon as it is."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise TooLarge(f"the body must not have more than {most} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise TooLarge(f"the body must not have more than {most} bytes")
    except TimeoutError as error:
        raise TooSlow("the body took too long") from error
    return bytes(body)


def _fields(text: bytes, shape: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("no valid JSON") from error
    if not isinstance(values, dict):
        raise BadRequest("must be an object")
    for name, value in values.items():
        if name not in shape:
            raise BadRequest(f"{name}: no such field")
        wrong_truth = isinstance(value, bool) and shape[name] is not bool
        if value is not None and (wrong_truth or not isinstance(value, shape[name])):
            raise BadRequest(f"{name}: has the wrong type")
    for name in ("keywords", "poem"):
        if not all(isinstance(word, str) for word in values.get(name) or ()):
            raise BadRequest(f"{name}: must be texts")
    return {name: value for name, value in values.items() if value is not None}
