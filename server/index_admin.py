"""The methods of IndexAdminService: versions of the index, for operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio

from image2poem.v1 import index_admin_service_pb2 as pb
from image2poem.v1 import index_admin_service_pb2_grpc as pb_grpc
from index_builder import artifact
from models.sampling import InvalidOption
from server import index_admin_wire as wire
from server import telemetry
from server.catalog import Catalog
from server.index_rebuild import Built, ListRead, Rebuild, Rebuilder
from server.index_versions import all_versions, previous_version, published_or_empty, version_named
from server.index_watch import IndexWatch

ADMIN_SERVICE_NAME = pb.DESCRIPTOR.services_by_name["IndexAdminService"].full_name

MAX_LIST_BYTES = 256 * 2**20
_PART_SECONDS = 60.0

Context = grpc.aio.ServicerContext[Any, Any]


class IndexAdminService(pb_grpc.IndexAdminServiceServicer):
    """A version is loaded before it is published: what this server cannot serve, no server is told to."""

    def __init__(self, catalog: Catalog, watch: IndexWatch, rebuilder: Rebuilder, *, root: Path) -> None:
        """`root` is the index folder."""
        self._catalog = catalog
        self._watch = watch
        self._rebuilder = rebuilder
        self._root = root

    async def ListIndexVersions(
        self, request: pb.ListIndexVersionsRequest, context: Context
    ) -> pb.ListIndexVersionsResponse:
        serving = self._serving()
        versions = await asyncio.to_thread(all_versions, self._root)
        return pb.ListIndexVersionsResponse(
            versions=[wire.from_version(version, serving=serving) for version in versions]
        )

    async def ActivateIndexVersion(
        self, request: pb.ActivateIndexVersionRequest, context: Context
    ) -> pb.ActivateIndexVersionResponse:
        replaced = self._serving()
        version = request.version or await asyncio.to_thread(artifact.published_version, self._root)
        await self._activate(version)
        return pb.ActivateIndexVersionResponse(version=await self._described(version), replaced=replaced)

    async def RollBackIndex(
        self, request: pb.RollBackIndexRequest, context: Context
    ) -> pb.RollBackIndexResponse:
        replaced = self._serving()
        version = await asyncio.to_thread(previous_version, self._root)
        await self._watch.serve(version, publish=lambda: artifact.rollback(self._root))
        telemetry.note(index_version=version, replaced=replaced)
        return pb.RollBackIndexResponse(version=await self._described(version), replaced=replaced)

    async def RebuildIndex(self, requests: AsyncIterator[pb.RebuildIndexRequest], context: Context) -> None:
        self._serving()
        options = wire.to_options(await _next_message(context))
        async with self._rebuilder.start(options) as rebuild:
            await _receive_list(rebuild, context)
            progress = wire.ProgressToWire()
            while not isinstance(event := await rebuild.next_event(), Built):
                message = wire.from_list_read(event) if isinstance(event, ListRead) else progress(event)
                await context.write(message)
            await context.write(await self._publish(event.version))

    async def _publish(self, version: str) -> pb.RebuildIndexResponse:
        replaced = self._serving()
        await self._activate(version)
        change = await asyncio.to_thread(artifact.diff, self._root, replaced, version)
        published = pb.IndexPublished(
            version=await self._described(version),
            replaced=replaced,
            added=len(change.added),
            removed=len(change.removed),
        )
        return pb.RebuildIndexResponse(published=published)

    async def _activate(self, version: str) -> None:
        before = self._serving()
        await self._watch.serve(version, publish=lambda: _publish_once(self._root, version))
        telemetry.note(index_version=version, replaced=before)

    async def _described(self, version: str) -> pb.IndexVersion:
        facts = await asyncio.to_thread(version_named, self._root, version)
        return wire.from_version(facts, serving=self._serving())

    def _serving(self) -> str:
        """The version in service. Raises NotReady."""
        return self._catalog.current().index.version


def _publish_once(root: Path, version: str) -> None:
    """Publish a version, unless it is the published one: `publish` would read all of it once more."""
    if version != published_or_empty(root):
        artifact.publish(root, version)


async def _receive_list(rebuild: Rebuild, context: Context) -> None:
    size = 0
    while (message := await _next_message(context)) is not None:
        part = wire.to_part(message)
        size += len(part)
        if size > MAX_LIST_BYTES:
            raise InvalidOption(f"list: must have at most {MAX_LIST_BYTES} bytes")
        await rebuild.add(part)
    await rebuild.end_list()


async def _next_message(context: Context) -> pb.RebuildIndexRequest | None:
    """None at the end. A caller that says nothing would keep all others from rebuilding."""
    try:
        async with asyncio.timeout(_PART_SECONDS):
            message = await context.read()
    except TimeoutError as error:
        raise InvalidOption(f"list: nothing came for {_PART_SECONDS:g} s") from error
    return None if message is grpc.aio.EOF else message
