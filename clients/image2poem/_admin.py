"""Versions of a server's keyword index, for operators: `Client.index_admin`.

A call is never repeated. Every method raises a class of `image2poem.errors`; NotOffered where the server was
not started with --admin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import grpc

from image2poem.errors import typed_errors
from image2poem.v1 import index_admin_service_pb2 as pb
from image2poem.v1 import index_admin_service_pb2_grpc as pb_grpc

_PART_BYTES = 2**16


@dataclass(frozen=True, kw_only=True)
class IndexVersion:
    """One version of the index.

    Attributes:
        created: when it was built; None where its manifest cannot be read.
        size: number of keywords.
        recall: share of the true ten nearest that it finds, 0 … 1; None where it was not measured.
        encoder_fingerprint: of the encoder that made its vectors; a server of another cannot serve it.
        parent: the version that was published when it was built, or empty.
        published: the servers on this folder serve it, or will.
        serving: this server serves it now.
        fault: why its manifest cannot be read, or empty.
    """

    name: str
    created: datetime | None
    size: int
    kind: str
    recall: float | None
    encoder: str
    encoder_fingerprint: str
    parent: str
    published: bool
    serving: bool
    fault: str


@dataclass(frozen=True, kw_only=True)
class IndexChange:
    """Another version is published and served, in the place of `replaced`."""

    version: IndexVersion
    replaced: str


@dataclass(frozen=True, kw_only=True)
class ListRead:
    """The list of a rebuild is clean: keywords left, and lines dropped by reason."""

    words: int
    dropped: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class RebuildProgress:
    """How far the embedding is; `seconds_left` is 0 where it is not known yet."""

    done: int
    total: int
    words_per_second: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class IndexPublished:
    """The new version is published and served; `added` and `removed` count keywords."""

    version: IndexVersion
    replaced: str
    added: int
    removed: int


RebuildEvent: TypeAlias = ListRead | RebuildProgress | IndexPublished


class IndexAdmin:
    """Calls that block; see `Client.index_admin`."""

    def __init__(self, channel: grpc.Channel, *, timeout: float | None) -> None:
        self._stub: Any = pb_grpc.IndexAdminServiceStub(channel)
        self._timeout = timeout

    def versions(self) -> list[IndexVersion]:
        """All that are kept, oldest first."""
        with typed_errors():
            found = self._stub.ListIndexVersions(pb.ListIndexVersionsRequest(), timeout=self._timeout)
        return [_to_version(message) for message in found.versions]

    def activate(self, version: str = "") -> IndexChange:
        """Publish and serve a version; without a name the published one, where it is not served yet."""
        request = pb.ActivateIndexVersionRequest(version=version)
        with typed_errors():
            return _to_change(self._stub.ActivateIndexVersion(request, timeout=self._timeout))

    def roll_back(self) -> IndexChange:
        """Publish and serve the version before; again: the one before that."""
        with typed_errors():
            return _to_change(self._stub.RollBackIndex(pb.RollBackIndexRequest(), timeout=self._timeout))

    def rebuild(
        self,
        data: bytes,
        *,
        source: str = "list.txt",
        all_words: bool = False,
        stop_words: Sequence[str] = (),
        simplified: bool = False,
        subjects: Sequence[str] = (),
        templates: Sequence[str] = (),
        correction: float = 0.0,
        kind: str = "",
        timeout: float | None = None,
    ) -> Iterator[RebuildEvent]:
        """Build, publish and serve a version of a list: ListRead, RebuildProgress …, IndexPublished.

        The call begins with the first event that is asked for. Leaving the loop early cancels the rebuild:
        nothing is published then.

        Args:
            data: the list, UTF-8.
            source: its file name; the suffix says the format: .txt, .csv, .tsv or .jsonl.
            all_words: keep words that the list marks as not visual.
            stop_words: words to leave out.
            simplified: write the words in simplified characters.
            subjects: keep only words tagged with one of these.
            templates: sentences that each hold {} once, where the word goes; none takes the word alone.
            correction: share of a keyword's mean similarity that is taken off its score, 0 … 1.
            kind: of index: flat, hnsw, ivf_flat, ivf_pq or sq8; chosen by size where it is empty.
            timeout: seconds for all of it; None waits for ever.
        """
        options = pb.RebuildOptions(
            source=source,
            all_words=all_words,
            stop_words=stop_words,
            simplified=simplified,
            subjects=subjects,
            templates=templates,
            correction=correction,
            kind=kind,
        )
        call = self._stub.RebuildIndex(_requests(options, data), timeout=timeout)
        try:
            with typed_errors():
                for message in call:
                    event = _to_event(message)
                    if event is not None:
                        yield event
        finally:
            # gRPC never collects a call that was left half read.
            call.cancel()


def _requests(options: pb.RebuildOptions, data: bytes) -> Iterator[pb.RebuildIndexRequest]:
    yield pb.RebuildIndexRequest(options=options)
    for start in range(0, len(data), _PART_BYTES):
        yield pb.RebuildIndexRequest(list=data[start : start + _PART_BYTES])


def _to_event(message: pb.RebuildIndexResponse) -> RebuildEvent | None:
    """The typed event; None for one that this version does not know."""
    match message.WhichOneof("event"):
        case "list_read":
            return ListRead(words=message.list_read.words, dropped=dict(message.list_read.dropped))
        case "progress":
            return RebuildProgress(
                **{name: getattr(message.progress, name) for name in RebuildProgress.__dataclass_fields__}
            )
        case "published":
            published = message.published
            return IndexPublished(
                version=_to_version(published.version),
                replaced=published.replaced,
                added=published.added,
                removed=published.removed,
            )
        case _:
            return None


def _to_change(message: Any) -> IndexChange:
    return IndexChange(version=_to_version(message.version), replaced=message.replaced)


def _to_version(message: pb.IndexVersion) -> IndexVersion:
    facts = {name: getattr(message, name) for name in IndexVersion.__dataclass_fields__}
    facts["created"] = message.created.ToDatetime().astimezone() if message.HasField("created") else None
    facts["recall"] = message.recall if message.HasField("recall") else None
    return IndexVersion(**facts)
