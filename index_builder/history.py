"""The pointer to the published version, and what was published before it.

    ROOT/CURRENT     one line: the published version
    ROOT/HISTORY     a SHA-256 of the rest, then a version a line, oldest first

CURRENT alone decides what is published. HISTORY is written before it on the way forward and after it on the
way back, so that whatever a crash leaves, the history proper ends at the last line that CURRENT names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from models.bundle import CorruptArtifact, sync

CURRENT, HISTORY = "CURRENT", "HISTORY"
VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_MOST = 1000


class IndexMissing(Exception):
    """There is no such version, or nothing is published."""


def read_pointer(root: Path) -> str:
    """The version that CURRENT names, whether or not it exists. Raises IndexMissing, CorruptArtifact."""
    try:
        text = (root / CURRENT).read_bytes().decode("ascii")
    except FileNotFoundError as error:
        raise IndexMissing(f"{root}: no index is published here") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptArtifact(f"{root}: cannot read {CURRENT}: {error}") from error
    version, end, rest = text.partition("\n")
    if not VERSION.fullmatch(version) or not end or rest:
        raise CorruptArtifact(f"{root}: {CURRENT} holds no version name: {text[:40]!r}")
    return version


def read_history(root: Path) -> list[str]:
    """The publications up to the current one, oldest first; [] when nothing is published.

    Raises CorruptArtifact.
    """
    try:
        current = read_pointer(root)
    except IndexMissing:
        return []
    lines = _read_lines(root)
    while lines and lines[-1] != current:
        lines.pop()
    return lines or [current]


def step_forward(root: Path, version: str) -> None:
    """Publish a version and remember it. A broken pointer or history is begun anew. Raises OSError."""
    try:
        lines = read_history(root)
    except CorruptArtifact:
        lines = []
    if lines[-1:] != [version]:
        _write(root / HISTORY, _sealed([*lines, version][-_MOST:]))
    _write(root / CURRENT, f"{version}\n")


def step_back(root: Path, lines: Sequence[str]) -> None:
    """Publish the last of `lines`, a beginning of the history, and forget what came after. Raises OSError."""
    _write(root / CURRENT, f"{lines[-1]}\n")
    _write(root / HISTORY, _sealed(lines))


def _read_lines(root: Path) -> list[str]:
    """What HISTORY lists; nothing where it does not exist."""
    try:
        seal, _, text = (root / HISTORY).read_bytes().decode("ascii").partition("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptArtifact(f"{root}: cannot read {HISTORY}: {error}") from error
    if seal != hashlib.sha256(text.encode()).hexdigest():
        raise CorruptArtifact(f"{root}: {HISTORY} was altered; publishing a version begins it anew")
    return text.splitlines()


def _sealed(lines: Sequence[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _write(path: Path, text: str) -> None:
    """Replace a file atomically, on the disk before anyone sees it."""
    new = path.with_name(f"{path.name}.tmp")
    new.write_text(text, encoding="ascii")
    sync(new)
    os.replace(new, path)
    sync(path.parent)
