"""Logs: one line per event, as text or JSON, with what a request took, and never a picture or a poem.

A request is known by an id, which its caller may choose; every line that is logged on its behalf holds it.
Poems and keywords are logged where the server was asked to, and pictures never.

Lines are written by a thread of their own, so that a slow disk or a full pipe never holds up the event
loop; where the writer falls far behind, lines are dropped rather than requests.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Protocol, TextIO

log = logging.getLogger("image2poem.server")

_PENDING_LINES = 10_000
# What may stand in a log line and in a header as it came.
_GOOD_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]+")


class Laps(Protocol):
    """Times the stages of a request.

    Attributes:
        laps: (stage, began, ended) in the order of time, in seconds of `time.perf_counter`.
    """

    laps: list[tuple[str, float, float]]


@dataclass
class Request:
    """A call from its beginning to its end.

    Attributes:
        method: the method's name, without its service.
        service: the full name of its service.
        id: the caller's, or one that was made.
        code: the name of the gRPC status, once it has ended.
        began: `time.perf_counter`, in seconds.
        seconds: how long it took, once it has ended.
        laps: its stages, where it has some.
        tokens: characters sent so far, of all candidates.
        last_token: when the last character of the first candidate was sent.
        notes: what its log line says beside.
        texts: what its log line says where poems are logged.
    """

    method: str
    service: str = ""
    id: str = field(default_factory=lambda: token_hex(16))
    code: str = "UNKNOWN"
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    laps: Laps | None = None
    tokens: int = 0
    last_token: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def end(self, code: str) -> None:
        self.code = code
        self.seconds = time.perf_counter() - self.began


class Observer(Protocol):
    """Is told of every call, on the event loop's thread; what it does must be short."""

    def began(self, request: Request, metadata: Mapping[str, str]) -> None: ...

    def sent(self, request: Request, message: Any) -> None:
        """A message of a stream was handed to the transport."""

    def ended(self, request: Request) -> None: ...


_current: ContextVar[Request | None] = ContextVar("request", default=None)


def id_from(given: str | None) -> str:
    """The caller's id where it can be used as it is, else a new one."""
    return given if given and _GOOD_ID.fullmatch(given) else token_hex(16)


def configure(
    *, level: str, style: str, stream: TextIO | None = None, poems: bool = False
) -> logging.Handler:
    """Send the server's log to `stream` (stderr) as `text` or `json`. Close the handler at the end.

    `poems`: log poems and keywords too, and tracebacks without a change.
    """
    handler = _BackgroundHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_JsonFormatter(poems) if style == "json" else _TextFormatter(poems))
    log.handlers = [handler]
    log.setLevel(level.upper())
    log.propagate = False
    return handler


@contextmanager
def request(current: Request) -> Iterator[None]:
    """Make `current` the one that notes are for, and log one line when the block ends."""
    token = _current.set(current)
    try:
        yield
    finally:
        if log.isEnabledFor(logging.INFO):
            fields = {
                "method": current.method,
                **current.notes,
                "code": current.code,
                "duration_ms": current.seconds * 1000,
            }
            log.info("request", extra={"fields": fields, "texts": current.texts})
        _current.reset(token)


def current() -> Request | None:
    """The request on whose behalf this code runs."""
    return _current.get()


def note(**fields: Any) -> None:
    """Add to the line of the current request; outside of one, nothing happens."""
    if (request := _current.get()) is not None:
        request.notes.update(fields)


def note_texts(**texts: str) -> None:
    """Add what is logged only where poems are."""
    if (request := _current.get()) is not None:
        request.texts.update(texts)


def watch(laps: Laps) -> None:
    """Let the observers of the current request see its stages."""
    if (request := _current.get()) is not None:
        request.laps = laps


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


class _Formatter(logging.Formatter):
    """What both styles share: the fields of a line, and what it must not say."""

    def __init__(self, poems: bool) -> None:
        super().__init__()
        self._poems = poems

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def formatException(self, exc_info: Any) -> str:
        # The message of an exception may quote what the caller sent.
        text = super().formatException(exc_info)
        return text if self._poems else _HAN.sub("…", text)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if (request := _current.get()) is not None:
            fields = {"request_id": request.id, **fields}
        if self._poems:
            fields |= getattr(record, "texts", {})
        return {
            name: round(value, 2) if isinstance(value, float) else value for name, value in fields.items()
        }


class _TextFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in self.fields(record).items())
        line = f"{self.formatTime(record)} {record.levelname} {record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        entry.update(self.fields(record))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _quoted(value: Any) -> str:
    """As it is where it is one word, else quoted, so that no value can look like a field or a line."""
    text = str(value)
    plain = text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
