"""The process that builds an index version for a running server: `python -m server.rebuild_worker`.

Beside the server, because a build takes minutes of every core and gigabytes of memory: it is given less time
than serving, shares no interpreter with it, and may be killed at any moment.

Standard input: one line of JSON with the options (root, encoder, provider; list: the arguments of
`parse_keywords`; templates, correction, kind), then the list in parts, each after its length in four
bytes, big-endian; a part of length 0 ends the list. The end of the input itself means that nobody wants the
result any more. Standard output: one JSON object a line, `{"event": …}`: list_read, progress, then built or
failed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

_NICENESS = 10
_PROGRESS_SECONDS = 0.25
_PATIENCE_SECONDS = 5.0


def main() -> int:
    """Build one version. Returns 0, or 1 after `failed`."""
    os.nice(_NICENESS)
    say = Say(os.dup(sys.stdout.fileno()))
    # What libraries print must not get between the events.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source = sys.stdin.buffer
    options = json.loads(source.readline())
    data = _read_list(source)
    unwanted = threading.Event()
    threading.Thread(target=_await_end, args=(source, unwanted), daemon=True).start()
    try:
        say("built", version=_build(options, data, unwanted, say))
    except Exception as error:
        traceback.print_exc()
        say("failed", kind=type(error).__name__, message=str(error))
        return 1
    return 0


def _build(options: Mapping[str, Any], data: bytes, unwanted: threading.Event, say: Say) -> str:
    # Here, so that the list can come while the libraries load.
    from index_builder.build import EmbeddingOptions, IndexKind, build_version
    from index_builder.embedding import PLAIN
    from index_builder.keywords import parse_keywords
    from models.bundle import open_bundle
    from models.clip import Encoder

    embedding = EmbeddingOptions(
        templates=tuple(options["templates"]) or (PLAIN,), correction=options["correction"]
    )
    kind = IndexKind(kind=options["kind"]) if options["kind"] else None
    words = parse_keywords(data, **options["list"])
    say("list_read", words=len(words.words), dropped=dict(words.dropped))
    encoder = Encoder.open(
        open_bundle(Path(options["encoder"]), kind="encoder"), provider=options["provider"]
    )
    return build_version(
        words,
        encoder,
        root=Path(options["root"]),
        kind=kind,
        embedding=embedding,
        report=say.progress,
        stopped=unwanted.is_set,
    )


def _read_list(source: BinaryIO) -> bytes:
    parts = []
    while size := int.from_bytes(_exactly(source, 4), "big"):
        parts.append(_exactly(source, size))
    return b"".join(parts)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        # Nobody is left to tell.
        sys.exit(1)
    return data


def _await_end(source: BinaryIO, unwanted: threading.Event) -> None:
    source.read()
    unwanted.set()
    # Some steps ask seldom whether they are wanted; a build may end at any moment without harm.
    time.sleep(_PATIENCE_SECONDS)
    os._exit(1)


class Say:
    """Writes events to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._out = os.fdopen(descriptor, "w", encoding="utf-8")
        self._due = 0.0

    def __call__(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}, ensure_ascii=False), file=self._out, flush=True)

    def progress(self, done: int, total: int) -> None:
        """Says so a few times a second."""
        if done == total or time.monotonic() >= self._due:
            self._due = time.monotonic() + _PROGRESS_SECONDS
            self("progress", done=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
