"""Versions of an index: written whole, opened, verified, compared, held. What is published: `artifact`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index_builder import history
from index_builder.device import Device
from index_builder.faiss_index import FaissIndex
from index_builder.history import IndexMissing
from index_builder.version_files import (
    FORMAT_VERSION,
    METRIC,
    VECTORS,
    fill,
    load,
    read_facts,
    read_keywords_file,
)
from index_builder.workspace import Lease, exclusive, share, work_folder
from models.bundle import MANIFEST, CorruptArtifact, sync

_ROWS_AT_ONCE = 65_536
_STAMP = "%Y%m%dT%H%M%SZ"


class EncoderMismatch(Exception):
    """The index was built by another encoder: its vectors cannot be compared with this one's."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a new version has and lacks against an old one, each in its list's order."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def write_version(
    root: Path,
    *,
    keywords: Sequence[str],
    vectors: np.ndarray | Path,
    index: faiss.Index,
    facts: Mapping[str, Any],
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> str:
    """Write a new version, unpublished, and return its name.

    Args:
        root: the index folder, made where it is missing.
        keywords: N words without line breaks.
        vectors: (N, D) float32 unit rows, in the same order, or such a `.npy` file under `root`, moved.
        index: the FAISS index of these vectors, each times its weight.
        facts: what the manifest says beside count, dimension, metric, parent, time and hashes.
        weights: (N,) float32, or None: all are 1.
        shift: (D,) float32 taken off each query, or None.

    Raises OSError where the disk refuses; nothing of the version is left behind then.
    """
    versions = root / "versions"
    now = datetime.now(UTC)
    manifest = {
        "format_version": FORMAT_VERSION,
        "kind": "index",
        "created": now.isoformat(),
        "parent": _parent(root),
        "count": len(keywords),
        "dimension": int(index.d),
        "metric": METRIC,
        **facts,
    }
    with work_folder(versions) as work:
        sealed = work / "sealed"
        sealed.mkdir()
        fingerprint = fill(
            sealed, manifest, keywords=keywords, vectors=vectors, index=index, weights=weights, shift=shift
        )
        with exclusive(root):
            version = f"{_stamp(now, list_versions(root))}-{fingerprint[:8]}"
            os.rename(sealed, versions / version)
            sync(versions)
            sync(root)
    return version


def list_versions(root: Path) -> list[str]:
    """The names of all versions, oldest first; their content is not looked at."""
    versions = root / "versions"
    if not versions.is_dir():
        return []
    return sorted(entry.name for entry in versions.iterdir() if history.VERSION.fullmatch(entry.name))


def published_version(root: Path) -> str:
    """The version that CURRENT names.

    Raises IndexMissing when nothing is published, CorruptArtifact when CURRENT names no version.
    """
    version = history.read_pointer(root)
    if not (root / "versions" / version).is_dir():
        raise CorruptArtifact(f"{root}: CURRENT names the missing version {version}")
    return version


def open_version(
    root: Path,
    version: str,
    *,
    encoder_fingerprint: str | None = None,
    device: str | Device = "cpu",
    mmap: bool | None = None,
) -> FaissIndex:
    """Open one version after checking every hash; the encoder is checked where its fingerprint is given.

    Raises IndexMissing when there is no such version, CorruptArtifact, EncoderMismatch.
    """
    manifest = read_version(root, version)
    folder = root / "versions" / version
    encoder = manifest["encoder"]
    if encoder_fingerprint is not None and encoder_fingerprint != encoder["fingerprint"]:
        raise EncoderMismatch(
            f"{folder}: built by the encoder {encoder['name']!r} ({encoder['fingerprint'][:12]}…), "
            f"the loaded one is {encoder_fingerprint[:12]}…; build the index again with it"
        )
    return load(folder, manifest, device=device, mmap=mmap)


def read_version(root: Path, version: str, *, check_files: bool = True) -> dict[str, Any]:
    """The manifest of a version, after checking every hash; without `check_files` only the manifest's own.

    Raises IndexMissing, CorruptArtifact.
    """
    return read_facts(version_folder(root, version), check_files=check_files)


def verify(root: Path, version: str) -> dict[str, Any]:
    """Check all that can be checked without the encoder and return the manifest.

    Beyond the hashes: counts and dimensions agree, rows have length one, no keyword is there twice.
    Raises IndexMissing, CorruptArtifact.
    """
    manifest = read_version(root, version)
    folder = root / "versions" / version
    opened = load(folder, manifest)
    if len(set(opened.keywords)) != opened.count or "" in opened.keywords:
        raise CorruptArtifact(f"{folder}: the list holds duplicates or empty lines")
    rows = np.load(folder / VECTORS, mmap_mode="r")
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        lengths = np.linalg.norm(rows[start : start + _ROWS_AT_ONCE], axis=1)
        if not np.allclose(lengths, 1, atol=1e-3):
            raise CorruptArtifact(f"{folder}: {VECTORS} holds rows that are not of length one")
    return manifest


def diff(root: Path, old: str, new: str) -> Difference:
    """The words that `new` has beyond `old`, and lacks. Raises IndexMissing, CorruptArtifact."""
    before, after = (_words(root, version) for version in (old, new))
    return Difference(
        added=tuple(word for word in after if word not in before),
        removed=tuple(word for word in before if word not in after),
    )


def hold(root: Path, version: str) -> Lease:
    """Keep a version from being collected until the lease is closed or this process ends.

    Reading is enough for it. Raises IndexMissing where the version is gone, CorruptArtifact.
    """
    folder = version_folder(root, version)
    try:
        lease = Lease(version, share(folder / MANIFEST))
    except OSError as error:
        if not folder.is_dir():
            raise IndexMissing(f"{root}: there is no version {version!r}") from error
        raise CorruptArtifact(f"{folder}: cannot read {MANIFEST}: {error}") from error
    if not (folder / MANIFEST).exists():
        lease.close()
        raise IndexMissing(f"{root}: there is no version {version!r}")
    return lease


def _words(root: Path, version: str) -> dict[str, None]:
    """The words of a version, in order. Raises IndexMissing, CorruptArtifact."""
    read_version(root, version)
    return dict.fromkeys(read_keywords_file(root / "versions" / version))


def version_folder(root: Path, version: str) -> Path:
    folder = root / "versions" / version
    if not history.VERSION.fullmatch(version) or not folder.is_dir():
        raise IndexMissing(f"{root}: there is no version {version!r}")
    return folder


def _parent(root: Path) -> str | None:
    """The version published now; a broken pointer has no say in a new build, which may be its repair."""
    try:
        return published_version(root)
    except (IndexMissing, CorruptArtifact):
        return None


def _stamp(now: datetime, versions: Sequence[str]) -> str:
    """The time in a new version's name: now, or a second after the latest, so that names sort by age."""
    stamp = now.strftime(_STAMP)
    if not versions or stamp > (latest := versions[-1].partition("-")[0]):
        return stamp
    return (datetime.strptime(latest, _STAMP) + timedelta(seconds=1)).strftime(_STAMP)
