"""The gateway: an ASGI application that is itself a client of the gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from image2poem import AsyncClient, Image2PoemError
from web import answers, wish
from web.config import Config
from web.shield import Headers, RateLimit

STATIC = Path(__file__).resolve().parent / "static"
TYPEFACE = Path(str(files("image2poem") / "data" / "kai.woff2"))
PING_SECONDS = 15
# For text alone: typeface and pictures are small already, and a stream is not to wait.
SMALLER = [Middleware(GZipMiddleware, minimum_size=1024)]


def create_app(config: Config) -> Starlette:
    """The application; it connects to `config.target` when it starts."""

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        # The page says what failed and asks again itself, so that people see why they wait.
        async with AsyncClient(config.target, timeout=config.timeout, retry=None) as client:
            app.state.client, app.state.config = client, config
            yield

    return Starlette(
        routes=[
            Route("/", page, middleware=SMALLER),
            Route("/kai.woff2", typeface),
            Route("/healthz", healthy),
            Route("/api/info", info),
            Route("/api/keywords", keywords, methods=["POST"]),
            Route("/api/poems", poems, methods=["POST"]),
            Route("/api/checks", checks, methods=["POST"]),
            Route("/api/cards", cards, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC), middleware=SMALLER),
        ],
        middleware=[
            Middleware(Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=config.allowed_hosts, www_redirect=False),
            Middleware(RateLimit, rate=config.rate),
        ],
        exception_handlers={
            Image2PoemError: answers.answer_failure,
            wish.BadRequest: answers.answer_bad_request,
            Exception: answers.answer_defect,
        },
        lifespan=connected,
    )


async def page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def typeface(_: Request) -> Response:
    return FileResponse(
        TYPEFACE, media_type="font/woff2", headers={"Cache-Control": "public, max-age=604800"}
    )


async def healthy(_: Request) -> Response:
    return Response(status_code=204)


async def info(request: Request) -> Response:
    """What the server has and allows, and the largest picture that this gateway takes."""
    found = asdict(await request.app.state.client.info())
    return JSONResponse({**found, "max_upload_bytes": request.app.state.config.max_upload_bytes})


async def keywords(request: Request) -> Response:
    asked = await _read(request, wish.LOOKUP)
    return JSONResponse(asdict(await request.app.state.client.lookup_keywords(**_with_picture(asked))))


async def poems(request: Request) -> Response:
    """A poem's events as they are made; the call ends when the browser goes away."""
    asked = await _read(request, wish.COMPOSE)
    events = request.app.state.client.compose(**_with_picture(asked))
    return EventSourceResponse(answers.server_sent(events), ping=PING_SECONDS, sep="\n")


async def checks(request: Request) -> Response:
    asked = await _read(request, wish.CHECK)
    text = asked.fields.pop("text", "")
    return JSONResponse(asdict(await request.app.state.client.check_poem(text, **asked.fields)))


async def cards(request: Request) -> Response:
    """Picture and poem as one image; the layout is that of `compose --card`."""
    # Here, so that a gateway without Pillow serves all else.
    from image2poem.card import render_card

    asked = await _read(request, wish.CARD)
    try:
        image = await run_in_threadpool(
            render_card, asked.fields.pop("poem", ()), picture=asked.picture, **asked.fields
        )
    except ValueError as error:
        raise wish.BadRequest(str(error)) from error
    return Response(image, media_type="image/png")


async def _read(request: Request, shape: dict[str, Any]) -> wish.Wish:
    return await wish.read_wish(request, shape, max_bytes=request.app.state.config.max_upload_bytes)


def _with_picture(asked: wish.Wish) -> dict[str, Any]:
    return asked.fields | ({} if asked.picture is None else {"picture": asked.picture})
