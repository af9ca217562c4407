"""What stands before every handler: headers that keep the page to itself, and a bound for each address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
MOST_ADDRESSES = 10_000


class Headers:
    """Adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # Asked for anew each time, and answered 304 where nothing changed.
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Buckets:
    """A token bucket for each address: a minute's worth at once, then `rate` a minute.

    It remembers the addresses that came last, so that no crowd of them fills the memory.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """0 where the address may go on, else after how many seconds it may."""
        now = self._clock()
        level, last = self._levels.pop(address, (self._size, now))
        level = min(self._size, level + (now - last) * self._rate / 60)
        allowed = level >= 1
        self._levels[address] = (level - 1 if allowed else level, now)
        if len(self._levels) > MOST_ADDRESSES:
            self._levels.popitem(last=False)
        return 0.0 if allowed else (1 - level) * 60 / self._rate


class RateLimit:
    """Answers 429 to an address that asks /api/ too often; a rate of 0 sets no bound."""

    def __init__(self, app: ASGIApp, *, rate: float) -> None:
        self._app = app
        self._buckets = Buckets(rate) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = 0.0
        if self._buckets and scope["type"] == "http" and scope["path"].startswith("/api/"):
            wait = self._buckets.take((scope.get("client") or ("unknown", 0))[0])
        if not wait:
            await self._app(scope, receive, send)
            return
        answer = JSONResponse(
            {"reason": "TOO_OFTEN", "message": "too many requests from this address", "retry_after": wait},
            status_code=429,
            headers={"Retry-After": str(int(wait) + 1)},
        )
        await answer(scope, receive, send)
