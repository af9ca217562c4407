"""A real server on a free port, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Self

import grpc

from image2poem.v1 import poem_service_pb2_grpc
from server.app import App
from server.catalog import Snapshot
from server.config import Config

TIMEOUT = 20.0


class RunningServer:
    """Use it as a context manager: inside it listens, and is ready unless told to be late."""

    def __init__(self, load: Callable[[Config], Snapshot], *, late: bool = False, **options: Any) -> None:
        self._config = Config(
            **{"listen": "127.0.0.1:0", "workers": 2, "waiting": 2, "grace": 5.0, "index_poll": 0, **options}
        )
        self._load = load
        self._late = late
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.app = self.run(self._start())
        self.target = self.app.address
        self.channel = grpc.insecure_channel(self.target)
        self.stub: Any = poem_service_pb2_grpc.PoemServiceStub(self.channel)
        if not self._late:
            self.make_ready().result(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.run(self.app.drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()

    async def _start(self) -> App:
        app = App(self._config, load=self._load)
        await app.listen()
        return app

    def make_ready(self) -> Future[None]:
        return self.begin(self.app.make_ready())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.begin(work).result(TIMEOUT)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def reason_of(error: Any) -> str | None:
    """The stable reason in the trailing metadata of a failed call."""
    return dict(error.trailing_metadata() or ()).get("image2poem-reason")
