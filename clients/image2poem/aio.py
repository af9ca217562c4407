"""The client for asyncio. It differs from `image2poem.Client` in waiting only.

Leaving a poem's loop early, by break, an exception or a cancelled task, cancels the call, and the server
stops writing within one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self, Unpack

import grpc
from google.protobuf.message import Message

from image2poem import _check_wire, _wire
from image2poem._channel import open_aio_channel
from image2poem.checks import PoemCheck
from image2poem.client import DEFAULT_RETRY, DEFAULT_TARGET, DEFAULT_TIMEOUT
from image2poem.errors import Unavailable, typed_errors
from image2poem.events import Event, Lookup, ServerInfo
from image2poem.retry import Attempts, Retry
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc
from image2poem.wishes import ComposeWish, LookupWish


class Client:
    """`await` the answers, `async for` the events. See `image2poem.Client` for the arguments."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        retry: Retry | None = DEFAULT_RETRY,
    ) -> None:
        self._channel = open_aio_channel(target, credentials, token)
        self._stub: Any = pb_grpc.PoemServiceStub(self._channel)
        self._timeout = timeout
        self._retry = retry

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        await self._channel.close()

    async def lookup_keywords(self, **wish: Unpack[LookupWish]) -> Lookup:
        """See `image2poem.Client.lookup_keywords`."""
        request = _wire.lookup_request(**wish)
        return _wire.to_lookup(await self._answer(self._stub.LookupKeywords, request))

    def compose(self, **wish: Unpack[ComposeWish]) -> AsyncIterator[Event]:
        """See `image2poem.Client.compose`."""
        return self._events(_wire.compose_request(**wish))

    async def _events(self, request: pb.ComposePoemRequest) -> AsyncIterator[Event]:
        attempts, begun = Attempts(self._retry, self._timeout), False
        while True:
            call = self._stub.ComposePoem(request, timeout=attempts.timeout())
            try:
                with typed_errors():
                    async for message in call:
                        begun = True
                        event = _wire.to_event(message)
                        if event is not None:
                            yield event
                return
            except Unavailable as error:
                if begun:
                    raise
                wait = attempts.wait_after(error)
            finally:
                # gRPC never collects a call that was left half read.
                call.cancel()
            await asyncio.sleep(wait)

    async def check_poem(self, text: str, *, rhyme_book: str | None = None) -> PoemCheck:
        """See `image2poem.Client.check_poem`."""
        request = _check_wire.check_request(text, rhyme_book)
        return _check_wire.to_check(await self._answer(self._stub.CheckPoem, request))

    async def info(self) -> ServerInfo:
        """See `image2poem.Client.info`."""
        return _wire.to_info(await self._answer(self._stub.GetServerInfo, pb.GetServerInfoRequest()))

    async def _answer(self, method: Any, request: Message) -> Any:
        """The answer to a call that does not stream; calls again as `Retry` says."""
        attempts = Attempts(self._retry, self._timeout)
        while True:
            try:
                with typed_errors():
                    return await method(request, timeout=attempts.timeout())
            except Unavailable as error:
                wait = attempts.wait_after(error)
            await asyncio.sleep(wait)
