"""The methods of PoemService. They translate, and leave the work to the pipeline."""

from __future__ import annotations

from typing import Any

import grpc.aio

from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc
from image2poem.v1 import prosody_pb2
from models.prosody.checker import check
from server import check_wire, pipeline, telemetry, wire
from server.callers import caller_of
from server.catalog import Catalog
from server.events import Finished
from server.scheduling import Lane

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["PoemService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class PoemService(pb_grpc.PoemServiceServicer):
    """Poems, lookups and checks have a lane each, so that a short lookup never waits behind a long poem.

    Coroutines that write, instead of asynchronous generators: a generator that gRPC abandons in the middle
    is closed some time later, a cancelled coroutine leaves its `with` blocks at once.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        poems: Lane,
        lookups: Lane,
        checks: Lane,
        max_message_bytes: int,
        line_choices: int,
        line_similarity: bool,
    ) -> None:
        """`line_choices` and `line_similarity` are as in Config."""
        self._catalog = catalog
        self._poems = poems
        self._lookups = lookups
        self._checks = checks
        self._max_message_bytes = max_message_bytes
        self._line_choices = line_choices
        self._line_similarity = line_similarity

    async def LookupKeywords(
        self, request: pb.LookupKeywordsRequest, context: Context
    ) -> pb.LookupKeywordsResponse:
        clock = pipeline.Clock()
        telemetry.watch(clock)
        snapshot = self._catalog.current()
        wish = wire.to_lookup(request)
        if pipeline.is_quick(snapshot, wish) and not self._lookups.admission.waiting:
            # Here and now, for a change of threads would take longer than the search.
            self._lookups.admission.check(lambda: caller_of(context).name)
            found = pipeline.lookup(snapshot, wish, clock=clock)
        else:
            found = await self._lookups.call(
                lambda: pipeline.lookup(snapshot, wish, clock=clock), caller_of(context)
            )
        telemetry.note(index_version=found.index_version, **vars(found.timings))
        return wire.from_found(found)

    async def ComposePoem(self, request: pb.ComposePoemRequest, context: Context) -> None:
        clock = pipeline.Clock()
        telemetry.watch(clock)
        snapshot = self._catalog.current()
        wish = wire.to_composition(request, line_choices=self._line_choices)
        with self._poems.start(
            lambda run: pipeline.compose(
                snapshot,
                wish,
                line_similarity=self._line_similarity,
                clock=clock,
                stopped=run.stopped,
                tell=run.tell,
            ),
            caller_of(context),
        ) as events:
            async for event in events:
                if isinstance(event, Finished):
                    _note_finished(event)
                await context.write(wire.from_event(event))

    async def CheckPoem(
        self, request: prosody_pb2.CheckPoemRequest, context: Context
    ) -> prosody_pb2.CheckPoemResponse:
        # Not needed, but a server that is not ready answers nothing.
        self._catalog.current()
        text, book = check_wire.to_check(request)
        report = await self._checks.call(lambda: check(text, book=book), caller_of(context))
        telemetry.note(form=report.form.name if report.form else "none", conforms=report.conforms)
        return check_wire.from_check(report)

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        return wire.from_snapshot(
            self._catalog.current(),
            max_message_bytes=self._max_message_bytes,
            line_choices=self._line_choices,
        )


def _note_finished(event: Finished) -> None:
    telemetry.note(
        index_version=event.index_version,
        poet=event.poet,
        form=event.form.name,
        candidates=len(event.candidates),
        **vars(event.timings),
    )
    telemetry.note_texts(
        keywords=" ".join(keyword.text for keyword in event.keywords), poem="，".join(event.best.lines)
    )
