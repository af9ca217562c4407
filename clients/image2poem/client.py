"""The two clients: one that blocks, one for asyncio. They differ in waiting only.

Leaving a poem's loop early, by break, an exception or Ctrl-C, cancels the call, and the server stops
writing within one step. Neither client repeats a call: a poem that has begun is never begun again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Self, Unpack

import grpc
import grpc.aio

from image2poem import _check_wire, _wire
from image2poem.checks import PoemCheck
from image2poem.errors import from_status
from image2poem.events import Event, Lookup, ServerInfo
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc
from image2poem.wishes import ComposeWish, LookupWish

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT = 60.0


class Client:
    """Calls that block. It may be shared between threads.

    Args:
        target: the server, as gRPC names it: `host:port`, `dns:///name:port`, …
        timeout: the deadline of each call, in seconds; None waits for ever.
        credentials: for TLS; None connects in the clear.

    Every method raises a class of `image2poem.errors`.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        options = _channel_options(target)
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options=options)
        self._stub: Any = pb_grpc.PoemServiceStub(self._channel)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        self._channel.close()

    def lookup_keywords(self, **wish: Unpack[LookupWish]) -> Lookup:
        """The keywords nearest to a picture, a text or a vector, best first."""
        request = _wire.lookup_request(**wish)
        with _typed_errors():
            return _wire.to_lookup(self._stub.LookupKeywords(request, timeout=self._timeout))

    def compose(self, **wish: Unpack[ComposeWish]) -> Iterator[Event]:
        """Write a poem: its events as they are made, Finished last.

        The arguments are checked at once; the call begins with the first event that is asked for.
        """
        return self._events(_wire.compose_request(**wish))

    def _events(self, request: pb.ComposePoemRequest) -> Iterator[Event]:
        call = self._stub.ComposePoem(request, timeout=self._timeout)
        try:
            with _typed_errors():
                for message in call:
                    event = _wire.to_event(message)
                    if event is not None:
                        yield event
        finally:
            # gRPC never collects a call that was left half read.
            call.cancel()

    def check_poem(self, text: str, *, rhyme_book: str | None = None) -> PoemCheck:
        """How a poem stands under the rules of regulated verse. A poem that breaks them is no error.

        Args:
            text: the poem, 1 … 200 characters, with or without punctuation.
            rhyme_book: pingshui, cilin, xinyun or tongyun; pingshui by default.
        """
        request = _check_wire.check_request(text, rhyme_book)
        with _typed_errors():
            return _check_wire.to_check(self._stub.CheckPoem(request, timeout=self._timeout))

    def info(self) -> ServerInfo:
        """What the server has and allows."""
        with _typed_errors():
            return _wire.to_info(self._stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=self._timeout))


class AsyncClient:
    """The same for asyncio: `await` the answers, `async for` the events. See `Client` for the arguments."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        options = _channel_options(target)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        else:
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        self._stub: Any = pb_grpc.PoemServiceStub(self._channel)
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        await self._channel.close()

    async def lookup_keywords(self, **wish: Unpack[LookupWish]) -> Lookup:
        """See `Client.lookup_keywords`."""
        request = _wire.lookup_request(**wish)
        with _typed_errors():
            return _wire.to_lookup(await self._stub.LookupKeywords(request, timeout=self._timeout))

    def compose(self, **wish: Unpack[ComposeWish]) -> AsyncIterator[Event]:
        """See `Client.compose`."""
        return self._events(_wire.compose_request(**wish))

    async def _events(self, request: pb.ComposePoemRequest) -> AsyncIterator[Event]:
        call = self._stub.ComposePoem(request, timeout=self._timeout)
        try:
            with _typed_errors():
                async for message in call:
                    event = _wire.to_event(message)
                    if event is not None:
                        yield event
        finally:
            # gRPC never collects a call that was left half read.
            call.cancel()

    async def check_poem(self, text: str, *, rhyme_book: str | None = None) -> PoemCheck:
        """See `Client.check_poem`."""
        request = _check_wire.check_request(text, rhyme_book)
        with _typed_errors():
            return _check_wire.to_check(await self._stub.CheckPoem(request, timeout=self._timeout))

    async def info(self) -> ServerInfo:
        """See `Client.info`."""
        with _typed_errors():
            response = await self._stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=self._timeout)
            return _wire.to_info(response)


@contextmanager
def _typed_errors() -> Iterator[None]:
    """Turn gRPC's error, of either stack, into this package's."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error
        raise from_status(call.code(), call.details(), call.trailing_metadata()) from error


def _channel_options(target: str) -> list[tuple[str, Any]]:
    """Never go to this machine by way of a proxy, whatever the environment says of others."""
    host = target.rpartition("/")[2].rpartition(":")[0]
    return [("grpc.enable_http_proxy", 0)] if host in ("localhost", "127.0.0.1", "[::1]") else []
