"""The index on disk: a folder per version that never changes, and one pointer to the published one.

    ROOT/CURRENT, ROOT/HISTORY       the published version, and those before it (`index_builder.history`)
    ROOT/versions/VERSION/           the files of a version (`index_builder.version_files`)
    ROOT/cache/                      embeddings to build with; may be deleted at any time
    ROOT/.lock                       held by whoever changes names; a reader needs no lock

A version appears whole, by one rename of a synced folder, and CURRENT changes by one rename of a synced
file: a crash at any point leaves what was published before. VERSION ends in the first eight digits of
its manifest's SHA-256, and the manifest holds every file's, so that an altered byte anywhere is found.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from index_builder import history
from index_builder.device import Device
from index_builder.faiss_index import FaissIndex
from index_builder.history import IndexMissing
from index_builder.versions import (
    Difference,
    EncoderMismatch,
    diff,
    hold,
    list_versions,
    open_version,
    published_version,
    read_version,
    verify,
    version_folder,
    write_version,
)
from index_builder.workspace import Lease, exclusive, remove, unused
from models.bundle import MANIFEST

__all__ = [
    "MIN_RECALL",
    "Difference",
    "EncoderMismatch",
    "IndexMissing",
    "Lease",
    "RecallTooLow",
    "collect",
    "diff",
    "hold",
    "list_versions",
    "open_published",
    "open_version",
    "publications",
    "publish",
    "published_version",
    "read_version",
    "rollback",
    "verify",
    "write_version",
]

MIN_RECALL = 0.9  # below the target of tuning: other queries find a little less


class RecallTooLow(Exception):
    """The index finds too few of the true nearest keywords to be published."""


def publish(root: Path, version: str, *, min_recall: float = MIN_RECALL) -> None:
    """Verify a version and make it the published one.

    Raises as `open_version`, and RecallTooLow where the recall in its manifest is below `min_recall`.
    """
    with hold(root, version):
        open_version(root, version)
        _check_recall(root, version, min_recall)
        with exclusive(root):
            history.step_forward(root, version)


def rollback(root: Path, *, min_recall: float = 0) -> str:
    """Publish the version that was published before the current one, and return its name.

    The version that is left is forgotten, so that another roll-back goes further back. Versions that were
    collected since are passed over. Raises IndexMissing where there is none before, else as `publish`.
    """
    before = _earlier(root)
    with hold(root, before[-1]):
        open_version(root, before[-1])
        _check_recall(root, before[-1], min_recall)
        with exclusive(root):
            if _earlier(root) == before:
                history.step_back(root, before)
                return before[-1]
    return rollback(root, min_recall=min_recall)


def publications(root: Path) -> list[str]:
    """The versions published so far and not rolled back, oldest first; the last is the current one.

    Raises CorruptArtifact.
    """
    return history.read_history(root)


def previous_version(root: Path) -> str:
    """The version that `rollback` would publish. Raises IndexMissing where there is none, CorruptArtifact."""
    return _earlier(root)[-1]


def open_published(
    root: Path, *, encoder_fingerprint: str, device: str | Device = "cpu", mmap: bool | None = None
) -> FaissIndex:
    """Open the published version for the encoder of that fingerprint; `device` and `mmap` as `load`'s.

    Raises IndexMissing when nothing is published, CorruptArtifact when the pointer, the manifest or any
    file is missing or altered, EncoderMismatch when another encoder made the vectors.
    """
    version = published_version(root)
    return open_version(root, version, encoder_fingerprint=encoder_fingerprint, device=device, mmap=mmap)


def collect(root: Path, *, keep: int, in_use: Collection[str] = ()) -> list[str]:
    """Remove old versions and return their names, oldest first.

    What stays: the current version, those of `in_use`, those that any process holds, and the `keep` newest
    others. Raises ValueError for a negative `keep`, CorruptArtifact for a broken pointer, OSError.
    """
    if keep < 0:
        raise ValueError(f"keep must not be negative, but is {keep}")
    removed = []
    with exclusive(root):
        stay = {*in_use, *publications(root)[-1:]}
        others = [version for version in list_versions(root) if version not in stay]
        for version in others[: max(0, len(others) - keep)]:
            if _remove_unused(version_folder(root, version)):
                removed.append(version)
    return removed


def _remove_unused(folder: Path) -> bool:
    # A version that lost its manifest can be held by nobody.
    mark = folder / MANIFEST
    with unused(mark if mark.exists() else folder) as free:
        if free:
            remove(folder)
    return free


def _earlier(root: Path) -> list[str]:
    """The history up to the version that a roll-back publishes. Raises IndexMissing, CorruptArtifact."""
    *lines, current = publications(root) or [""]
    existing = set(list_versions(root)) - {current}
    while lines and lines[-1] not in existing:
        lines.pop()
    if not lines:
        raise IndexMissing(f"{root}: no version was published before the current one")
    return lines


def _check_recall(root: Path, version: str, least: float) -> None:
    manifest = read_version(root, version, check_files=False)
    recall = manifest.get("recall", {}).get("value", 1.0 if manifest["index"]["kind"] == "flat" else 0.0)
    if least > 0 and not recall >= least:
        raise RecallTooLow(
            f"{version}: recall {recall} is below {least}; build it with more effort, or publish it all the "
            "same with a lower --min-recall"
        )
