"""Logs: one line per event, as text or JSON, with what a request took, and never a picture or a poem.

Lines are written by a thread of their own, so that a slow disk or a full pipe never holds up the event
loop; where the writer falls far behind, lines are dropped rather than requests.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO

log = logging.getLogger("image2poem.server")

_PENDING_LINES = 10_000
_notes: ContextVar[dict[str, Any] | None] = ContextVar("notes", default=None)


def configure(*, level: str, style: str, stream: TextIO | None = None) -> logging.Handler:
    """Send the server's log to `stream` (stderr) as `text` or `json`. Close the handler at the end."""
    handler = _BackgroundHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_JsonFormatter() if style == "json" else _TextFormatter())
    log.handlers = [handler]
    log.setLevel(level.upper())
    log.propagate = False
    return handler


@contextmanager
def request(method: str) -> Iterator[dict[str, Any]]:
    """Log one line when the block ends, with everything that was noted inside."""
    notes: dict[str, Any] = {"method": method}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
        log.info("request", extra={"fields": notes})


def note(**fields: Any) -> None:
    """Add to the line of the current request; outside of one, nothing happens."""
    notes = _notes.get()
    if notes is not None:
        notes.update(fields)


def event(name: str, **fields: Any) -> None:
    """Log one line outside of requests."""
    log.info(name, extra={"fields": fields})


class _BackgroundHandler(logging.Handler):
    """Formats where the record is made, writes in a thread."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(_PENDING_LINES)
        self._stream = stream
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self._lines.put_nowait(self.format(record))

    def close(self) -> None:
        """Write what is pending, for at most a second."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(timeout=1.0)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads the log any more; the service goes on.
                return


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_plain(value)}" for name, value in _fields(record).items())
        return f"{super().formatMessage(record)} {fields}".rstrip()


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        entry.update({name: _plain(value) for name, value in _fields(record).items()})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _plain(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
