"""The client that blocks; `image2poem.aio` has the one for asyncio, which differs in waiting only.

Leaving a poem's loop early, by break, an exception or Ctrl-C, cancels the call, and the server stops
writing within one step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Self, Unpack

import grpc
from google.protobuf.message import Message

from image2poem import _check_wire, _wire
from image2poem._admin import IndexAdmin
from image2poem._channel import open_channel
from image2poem.checks import PoemCheck
from image2poem.errors import Unavailable, typed_errors
from image2poem.events import Event, Lookup, ServerInfo
from image2poem.retry import Attempts, Retry
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc
from image2poem.wishes import ComposeWish, LookupWish

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT = 60.0
DEFAULT_RETRY = Retry()


class Client:
    """Calls that block. It may be shared between threads.

    Args:
        target: the server, as gRPC names it: `host:port`, `dns:///name:port`, …
        timeout: the deadline of each call with its repetitions, in seconds; None waits for ever.
        credentials: for TLS, see `tls_credentials`; None connects in the clear.
        token: sent with each call, where the server asks for one; by TLS or to this machine only.
        retry: when to call again; None never does.

    Every method raises a class of `image2poem.errors`.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        retry: Retry | None = DEFAULT_RETRY,
    ) -> None:
        self._channel = open_channel(target, credentials, token)
        self._stub: Any = pb_grpc.PoemServiceStub(self._channel)
        self._timeout = timeout
        self._retry = retry

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
        return _wire.to_lookup(self._answer(self._stub.LookupKeywords, request))

    def compose(self, **wish: Unpack[ComposeWish]) -> Iterator[Event]:
        """Write a poem: its events as they are made, Finished last.

        The arguments are checked at once; the call begins with the first event that is asked for.
        """
        return self._events(_wire.compose_request(**wish))

    def _events(self, request: pb.ComposePoemRequest) -> Iterator[Event]:
        attempts, begun = Attempts(self._retry, self._timeout), False
        while True:
            call = self._stub.ComposePoem(request, timeout=attempts.timeout())
            try:
                with typed_errors():
                    for message in call:
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
            time.sleep(wait)

    def check_poem(self, text: str, *, rhyme_book: str | None = None) -> PoemCheck:
        """How a poem stands under the rules of regulated verse. A poem that breaks them is no error.

        Args:
            text: the poem, 1 … 200 characters, with or without punctuation.
            rhyme_book: pingshui, cilin, xinyun or tongyun; pingshui by default.
        """
        request = _check_wire.check_request(text, rhyme_book)
        return _check_wire.to_check(self._answer(self._stub.CheckPoem, request))

    def info(self) -> ServerInfo:
        """What the server has and allows."""
        return _wire.to_info(self._answer(self._stub.GetServerInfo, pb.GetServerInfoRequest()))

    @property
    def index_admin(self) -> IndexAdmin:
        """Versions of the index, for operators."""
        return IndexAdmin(self._channel, timeout=self._timeout)

    def _answer(self, method: Any, request: Message) -> Any:
        """The answer to a call that does not stream; calls again as `Retry` says."""
        attempts = Attempts(self._retry, self._timeout)
        while True:
            try:
                with typed_errors():
                    return method(request, timeout=attempts.timeout())
            except Unavailable as error:
                wait = attempts.wait_after(error)
            time.sleep(wait)
