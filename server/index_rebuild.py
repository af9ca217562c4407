"""Rebuilds of the index in a process of their own, one at a time, from a list that comes in parts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from index_builder.keywords import InvalidKeywordList
from models import cores
from models.sampling import InvalidOption
from server import telemetry

_ROOT = Path(__file__).resolve().parent.parent
_COMMAND = (sys.executable, "-m", "server.rebuild_worker")
_PATIENCE_SECONDS = 10.0
_LINE_BYTES = 2**20


class RebuildRunning(Exception):
    """Another rebuild has not ended yet."""


class RebuildFailed(Exception):
    """The build ended without a version; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ListRead:
    """The list is complete: keywords that are left, and lines dropped by reason."""

    words: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Words embedded so far, and how many there are."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Built:
    """The name of the new version, which is not published."""

    version: str


RebuildEvent: TypeAlias = ListRead | Progress | Built


class Rebuilder:
    """Starts builds. Use it inside one event loop.

    Attributes:
        running: whether a build is under way.
    """

    def __init__(
        self, *, root: Path, encoder: Path, provider: str, command: Sequence[str] = _COMMAND
    ) -> None:
        """`root` is the index folder, `encoder` the bundle's; `command` runs `server.rebuild_worker`."""
        self.running = False
        self._facts = {
            "root": str(root.absolute()),
            "encoder": str(encoder.absolute()),
            "provider": provider,
        }
        self._command = command

    @asynccontextmanager
    async def start(self, options: Mapping[str, Any]) -> AsyncIterator[Rebuild]:
        """A build that waits for its list; leaving the block ends it, and waits until it has ended.

        `options` are what `rebuild_worker` takes beside encoder and folder. Raises RebuildRunning.
        """
        if self.running:
            raise RebuildRunning("another rebuild is running; wait for its end, or cancel it")
        self.running = True
        try:
            process = await self._spawn()
            try:
                yield await Rebuild.begin(process, {**self._facts, **options})
            finally:
                await asyncio.shield(_ended(process))
        finally:
            self.running = False

    async def _spawn(self) -> Process:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LINE_BYTES,
            # A build's products are large ones, and it serves nobody meanwhile.
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": str(cores.available())},
        )


class Rebuild:
    """A build under way: give it the list, then read its events."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._input, self._output = process, process.stdin, process.stdout
        # Read all along: a full pipe would stop the build.
        self._complaints = asyncio.ensure_future(process.stderr.read())

    @classmethod
    async def begin(cls, process: Process, options: Mapping[str, Any]) -> Rebuild:
        rebuild = cls(process)
        await rebuild._write(json.dumps(options).encode() + b"\n")
        return rebuild

    async def add(self, part: bytes) -> None:
        """The next bytes of the list."""
        if part:
            await self._write(len(part).to_bytes(4, "big") + part)

    async def end_list(self) -> None:
        """The list is complete."""
        await self._write(bytes(4))

    async def next_event(self) -> RebuildEvent:
        """ListRead, Progress …, at last Built. Raises InvalidKeywordList, InvalidOption, RebuildFailed."""
        line = await self._output.readline()
        event = json.loads(line) if line else {"event": "died"}
        match event.pop("event"):
            case "list_read":
                return ListRead(**event)
            case "progress":
                return Progress(**event)
            case "built":
                return Built(**event)
            case "failed" if event["kind"] == InvalidKeywordList.__name__:
                raise InvalidKeywordList(event["message"])
            case "failed" if event["kind"] == ValueError.__name__:
                raise InvalidOption(event["message"])
        status = await self._process.wait()
        complaint = (await self._complaints).decode(errors="replace").strip()
        telemetry.log.error(
            "rebuild failed", extra={"fields": {"status": status, "stderr": complaint[-4000:]}}
        )
        raise RebuildFailed(
            event.get("message") or f"it died with status {status}; the server's log tells more"
        )

    async def _write(self, data: bytes) -> None:
        # A worker that is dead says why, or that it died, when its events are read.
        with suppress(ConnectionError):
            self._input.write(data)
            await self._input.drain()


async def _ended(process: Process) -> None:
    """Close the worker's input, which tells it to stop; one that does not is killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        # Its output too, to the end: a worker that cannot write would not see that it is to stop.
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await process.stdout.read(_LINE_BYTES):
                pass
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
