"""The index on disk: a folder per version that never changes, and one pointer to the published one.

    ROOT/CURRENT                     one line: the published version
    ROOT/versions/VERSION/           manifest.json, keywords.txt, vectors.npy, index.faiss
    ROOT/.lock                       held by whoever writes; a reader needs no lock

A version appears whole, by one rename of a synced folder, and CURRENT changes by one rename of a synced
file: a crash at any point leaves what was published before. VERSION ends in the first eight digits of
its manifest's SHA-256, and the manifest holds every file's, so that an altered byte anywhere is found.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index_builder.index import KeywordIndex
from models.bundle import CorruptArtifact, read_manifest, sync, write_folder

FORMAT_VERSION = 1
METRIC = "inner_product"

_CURRENT = "CURRENT"
_KEYWORDS, _VECTORS, _INDEX = "keywords.txt", "vectors.npy", "index.faiss"
_STAMP = "%Y%m%dT%H%M%SZ"
_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class IndexMissing(Exception):
    """There is no such version, or nothing is published."""


class EncoderMismatch(Exception):
    """The index was built by another encoder: its vectors cannot be compared with this one's."""


def write_version(
    root: Path,
    *,
    keywords: Sequence[str],
    vectors: np.ndarray,
    index: faiss.Index,
    facts: Mapping[str, Any],
) -> str:
    """Write a new version, unpublished, and return its name.

    Args:
        root: the index folder, made where it is missing.
        keywords: N words without line breaks.
        vectors: (N, D) float32 unit rows, in the same order.
        index: the FAISS index of these vectors.
        facts: what the manifest says beside count, dimension, metric, parent, time and hashes.

    Raises OSError where the disk refuses; nothing of the version is left behind then.
    """
    with _exclusive(root):
        versions = root / "versions"
        versions.mkdir(exist_ok=True)
        _sweep(versions)
        now = datetime.now(UTC)
        manifest = {
            "format_version": FORMAT_VERSION,
            "kind": "index",
            "created": now.isoformat(),
            "parent": _parent(root),
            "count": len(keywords),
            "dimension": int(vectors.shape[1]),
            "metric": METRIC,
            **facts,
        }
        work = Path(tempfile.mkdtemp(prefix=".work-", dir=versions))
        try:
            sealed, fingerprint = _seal(work, manifest, keywords, vectors, index)
            version = f"{_stamp(now, list_versions(root))}-{fingerprint[:8]}"
            os.rename(sealed, versions / version)
            sync(versions)
            sync(root)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return version


def publish(root: Path, version: str) -> None:
    """Verify a version and make it the published one. Raises as `open_version`."""
    open_version(root, version)
    with _exclusive(root):
        pointer = root / f"{_CURRENT}.tmp"
        pointer.write_text(f"{version}\n", encoding="ascii")
        sync(pointer)
        os.replace(pointer, root / _CURRENT)
        sync(root)


def list_versions(root: Path) -> list[str]:
    """The names of all versions, oldest first; their content is not looked at."""
    versions = root / "versions"
    if not versions.is_dir():
        return []
    return sorted(entry.name for entry in versions.iterdir() if _VERSION.fullmatch(entry.name))


def published_version(root: Path) -> str:
    """The version that CURRENT names.

    Raises IndexMissing when nothing is published, CorruptArtifact when CURRENT names no version.
    """
    try:
        text = (root / _CURRENT).read_bytes().decode("ascii")
    except FileNotFoundError as error:
        raise IndexMissing(f"{root}: no index is published here") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptArtifact(f"{root}: cannot read {_CURRENT}: {error}") from error
    version, end, rest = text.partition("\n")
    if not _VERSION.fullmatch(version) or not end or rest:
        raise CorruptArtifact(f"{root}: {_CURRENT} holds no version name: {text[:40]!r}")
    if not (root / "versions" / version).is_dir():
        raise CorruptArtifact(f"{root}: {_CURRENT} names the missing version {version}")
    return version


def open_published(root: Path, *, encoder_fingerprint: str) -> KeywordIndex:
    """Open the published version for the encoder of that fingerprint.

    Raises IndexMissing when nothing is published, CorruptArtifact when the pointer, the manifest or any
    file is missing or altered, EncoderMismatch when another encoder made the vectors.
    """
    return open_version(root, published_version(root), encoder_fingerprint=encoder_fingerprint)


def open_version(root: Path, version: str, *, encoder_fingerprint: str | None = None) -> KeywordIndex:
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
    return _load(folder, manifest)


def read_version(root: Path, version: str) -> dict[str, Any]:
    """The manifest of a version, after checking every hash. Raises IndexMissing, CorruptArtifact."""
    folder = root / "versions" / version
    if not _VERSION.fullmatch(version) or not folder.is_dir():
        raise IndexMissing(f"{root}: there is no version {version!r}")
    manifest, fingerprint = read_manifest(folder, format_version=FORMAT_VERSION)
    if not version.endswith(fingerprint[:8]):
        raise CorruptArtifact(f"{folder}: the manifest was altered (its SHA-256 is {fingerprint[:8]}…)")
    if set(manifest["files"]) != {_KEYWORDS, _VECTORS, _INDEX}:
        raise CorruptArtifact(f"{folder}: the manifest names other files: {sorted(manifest['files'])}")
    try:
        facts = (manifest["metric"], manifest["encoder"]["name"], manifest["index"]["kind"])
        fingerprint = manifest["encoder"]["fingerprint"]
    except (LookupError, TypeError) as error:
        raise CorruptArtifact(f"{folder}: the manifest lacks a fact: {error!r}") from error
    if not all(isinstance(fact, str) for fact in (*facts, fingerprint)):
        raise CorruptArtifact(f"{folder}: the manifest is malformed")
    return manifest


def verify(root: Path, version: str) -> dict[str, Any]:
    """Check all that can be checked without the encoder and return the manifest.

    Beyond the hashes: counts and dimensions agree, rows have length one, no keyword is there twice.
    Raises IndexMissing, CorruptArtifact.
    """
    manifest = read_version(root, version)
    folder = root / "versions" / version
    opened = _load(folder, manifest)
    if len(set(opened.keywords)) != opened.count or "" in opened.keywords:
        raise CorruptArtifact(f"{folder}: {_KEYWORDS} holds duplicates or empty lines")
    lengths = np.linalg.norm(np.load(folder / _VECTORS, mmap_mode="r"), axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raise CorruptArtifact(f"{folder}: {_VECTORS} holds rows that are not of length one")
    return manifest


def _seal(
    work: Path, manifest: Mapping[str, Any], keywords: Sequence[str], vectors: np.ndarray, index: faiss.Index
) -> tuple[Path, str]:
    """Write a whole hashed folder inside `work`, read it back, return it and its fingerprint."""
    (work / _KEYWORDS).write_text("".join(f"{word}\n" for word in keywords), encoding="utf-8", newline="\n")
    np.save(work / _VECTORS, vectors)
    faiss.write_index(index, str(work / _INDEX))
    sealed = work / "sealed"
    write_folder(sealed, manifest, {name: work / name for name in (_KEYWORDS, _VECTORS, _INDEX)})
    sync(sealed)
    return sealed, read_manifest(sealed, format_version=FORMAT_VERSION)[1]


def _load(folder: Path, manifest: Mapping[str, Any]) -> KeywordIndex:
    """Read the files of a checked folder. Raises CorruptArtifact where they contradict the manifest."""
    try:
        keywords = (folder / _KEYWORDS).read_bytes().decode("utf-8").split("\n")[:-1]
        vectors = np.load(folder / _VECTORS, mmap_mode="r")
        index = faiss.read_index(str(folder / _INDEX))
    # FAISS reports what it cannot read as RuntimeError.
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise CorruptArtifact(f"{folder}: {error}") from error
    count, dimension = manifest.get("count"), manifest.get("dimension")
    expected = (count, (count, dimension), (count, dimension), np.float32, METRIC)
    metric = METRIC if index.metric_type == faiss.METRIC_INNER_PRODUCT else index.metric_type
    found = (len(keywords), vectors.shape, (index.ntotal, index.d), vectors.dtype, metric)
    if found != expected or manifest["metric"] != METRIC:
        raise CorruptArtifact(f"{folder}: the files hold {found}, the manifest says {expected}")
    return KeywordIndex(
        index,
        keywords,
        version=folder.name,
        encoder_fingerprint=manifest["encoder"]["fingerprint"],
        kind=manifest["index"]["kind"],
    )


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


def _sweep(versions: Path) -> None:
    """Remove what builds that were killed left behind; the lock says that none is running."""
    for folder in versions.glob(".work-*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """One writer at a time; the system frees the lock of a process that dies."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
