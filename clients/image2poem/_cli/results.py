"""Poems of a batch as JSON Lines, in a file that a later run goes on with."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from image2poem._cli.report import rounded
from image2poem.events import Finished


class Results:
    """Adds a line for each poem, to the file or, without one, to standard output; use it with `with`.

    `done` holds the pictures that the file already has. A last line without its end, of a run that was
    killed, is dropped. Raises OSError, also for a file that is none of ours.
    """

    def __init__(self, path: Path | None) -> None:
        self.done: set[str] = set()
        self._file: BinaryIO | None = None
        if path is not None:
            self._file = path.open("a+b")
            try:
                self._read(path)
            except OSError:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, picture: Path, finished: Finished) -> None:
        """One line, written as a whole: the picture's path and the fields of Finished."""
        value = rounded({"picture": str(picture), **asdict(finished)})
        line = json.dumps(value, ensure_ascii=False) + "\n"
        if self._file is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            self._file.write(line.encode("utf-8", "surrogateescape"))
            self._file.flush()

    def _read(self, path: Path) -> None:
        assert self._file is not None
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                self.done.add(json.loads(line.decode("utf-8", "surrogateescape"))["picture"])
            except (ValueError, KeyError, TypeError) as error:
                raise OSError(f"{path}: line {number} is no poem of a batch") from error
            whole += len(line)
        self._file.truncate(whole)
