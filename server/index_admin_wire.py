"""Between the contract's messages of IndexAdminService and the server's own nouns; nothing else."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from image2poem.v1 import index_admin_service_pb2 as pb
from models.sampling import InvalidOption
from server.index_rebuild import ListRead, Progress
from server.index_versions import Version


def to_options(message: pb.RebuildIndexRequest | None) -> dict[str, Any]:
    """What `rebuild_worker` takes, of the first message. Raises InvalidOption for none and any other."""
    if message is None or message.WhichOneof("part") != "options":
        raise InvalidOption("options: must be in the first message, and the list in those after it")
    options = message.options
    return {
        "list": {
            "source": options.source or "list.txt",
            "all_words": options.all_words,
            "stop_words": list(options.stop_words),
            "script": "simplified" if options.simplified else "as_is",
            "subjects": list(options.subjects),
        },
        "templates": list(options.templates),
        "correction": options.correction,
        "kind": options.kind,
    }


def to_part(message: pb.RebuildIndexRequest) -> bytes:
    """A part of the list. Raises InvalidOption for any other message."""
    if message.WhichOneof("part") != "list":
        raise InvalidOption("list: every message after the first must hold a part of the list")
    return message.list


def from_version(version: Version, *, serving: str) -> pb.IndexVersion:
    """`serving` is the name of the version that this server serves."""
    facts = {name: value for name, value in asdict(version).items() if value is not None}
    return pb.IndexVersion(serving=version.name == serving, **facts)


def from_list_read(event: ListRead) -> pb.RebuildIndexResponse:
    return pb.RebuildIndexResponse(list_read=pb.ListRead(words=event.words, dropped=event.dropped))


class ProgressToWire:
    """Adds speed and time left, which count from the first progress on: what an earlier build left is done
    at once.
    """

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, event: Progress) -> pb.RebuildIndexResponse:
        now = time.monotonic()
        started, done = self._first = self._first or (now, event.done)
        speed = (event.done - done) / (now - started) if now > started else 0.0
        progress = pb.RebuildProgress(
            done=event.done,
            total=event.total,
            words_per_second=speed,
            seconds_left=(event.total - event.done) / speed if speed else 0.0,
        )
        return pb.RebuildIndexResponse(progress=progress)
