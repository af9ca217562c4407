"""Embeddings kept between builds, by encoder, template and word: ROOT/cache/FINGERPRINT.sqlite.

SQLite commits what half a second brings: that is what a build that is killed loses. Each row has a checksum,
so that an altered one counts as missing. The folder may be deleted at any time.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_AT_ONCE = 500  # words in one question; SQLite takes at least 999 values
_PATIENCE_SECONDS = 60.0
_COMMIT_SECONDS = 0.5  # a commit costs as much as encoding ten words does with a small encoder
_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
    template TEXT NOT NULL, word TEXT NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (template, word)
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class EmbeddingCache:
    """The embeddings of one encoder. Several processes may use one at once; one thread may use an object."""

    def __init__(self, path: Path, dimension: int) -> None:
        """Open or make the file. One that is no database is replaced. Raises OSError."""
        self._path = path
        self._dimension = dimension
        self._pending: list[tuple[str, str, int, bytes]] = []
        self._due = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = self._connected()
        except sqlite3.DatabaseError:
            self._remove()
            with _as_os_error(path):
                self._database = self._connected()

    @classmethod
    def of(cls, root: Path, fingerprint: str, dimension: int) -> EmbeddingCache:
        """That of an index folder and an encoder. Raises OSError."""
        return cls(root / "cache" / f"{fingerprint[:32]}.sqlite", dimension)

    def get(self, template: str, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (N, D) float32 and whether each is there, (N,) bool; rows that are not are zero."""
        self.flush()
        rows = np.zeros((len(words), self._dimension), np.float32)
        known = np.zeros(len(words), bool)
        places = {word: place for place, word in enumerate(words)}
        for word, vector in self._found(template, words):
            rows[places[word]], known[places[word]] = np.frombuffer(vector, np.float32), True
        return rows, known

    def put(self, template: str, words: Sequence[str], vectors: np.ndarray) -> None:
        """Keep (N, D) float32 vectors of N words, on the disk soon, or at `flush`. Raises OSError."""
        rows = [row.tobytes() for row in np.ascontiguousarray(vectors, np.float32)]
        self._pending += [
            (template, word, _checksum(word, row), row) for word, row in zip(words, rows, strict=True)
        ]
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what was kept since the last time. Raises OSError."""
        if self._pending:
            with _as_os_error(self._path), self._database:
                self._database.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", self._pending
                )
            self._pending.clear()
        self._due = time.monotonic() + _COMMIT_SECONDS

    def fact(self, name: str) -> bytes | None:
        """A value that was kept under a name."""
        with _as_os_error(self._path):
            found = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return found and found[0]

    def begin(self, **facts: bytes) -> None:
        """Forget all vectors, and keep these facts."""
        self._pending.clear()
        with _as_os_error(self._path), self._database:
            self._database.execute("DELETE FROM vectors")
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(facts.items()))

    def close(self) -> None:
        """Raises OSError where what is left cannot be written."""
        try:
            self.flush()
        finally:
            self._database.close()

    def _found(self, template: str, words: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Words that are kept, with the bytes of their vectors."""
        for start in range(0, len(words), _AT_ONCE):
            asked = words[start : start + _AT_ONCE]
            marks = ",".join("?" * len(asked))
            query = f"SELECT word, checksum, vector FROM vectors WHERE template = ? AND word IN ({marks})"
            with _as_os_error(self._path):
                found = self._database.execute(query, (template, *asked)).fetchall()
            for word, checksum, vector in found:
                if len(vector) == 4 * self._dimension and checksum == _checksum(word, vector):
                    yield word, vector

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_PATIENCE_SECONDS)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_TABLES)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _checksum(word: str, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(word.encode()))


@contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    """What SQLite finds wrong with the disk is the disk's fault; a broken file may be deleted."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}; it is a cache and may be deleted") from error
