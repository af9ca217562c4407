"""A model on disk: a folder with `manifest.json` and the files that it names.

The manifest holds every fact about the model (kind, architecture, tokenizer, prompt template, image
size, licence, training run) and the SHA-256 of each file, so that no server flag repeats them.
Opening a bundle checks every hash; the manifest's own is in `manifest.sha256`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_SEAL = "manifest.sha256"
_REQUIRED = ("kind", "name")


class CorruptArtifact(Exception):
    """A bundle or an index on disk is incomplete, altered, or of an unknown format."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An opened bundle whose files all have the hashes that its manifest names.

    Attributes:
        path: the folder.
        manifest: the parsed `manifest.json`.
        fingerprint: SHA-256 (hexadecimal) of the manifest's bytes; it changes with any file.
    """

    path: Path
    manifest: Mapping[str, Any]
    fingerprint: str

    @property
    def kind(self) -> str:
        """`encoder` or `poet`."""
        return self.manifest["kind"]

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def files(self) -> dict[str, Path]:
        """Paths of all its files, by their names."""
        return {name: self.path / name for name in self.manifest["files"]}

    def file(self, name: str) -> Path:
        """Path of a file that the manifest names. Raises CorruptArtifact when it names no such file."""
        if name not in self.manifest["files"]:
            raise CorruptArtifact(f"{self.path}: the manifest names no file {name!r}")
        return self.path / name


def open_bundle(path: Path | str, *, kind: str | None = None) -> Bundle:
    """Open the bundle at `path` and check every hash.

    Raises CorruptArtifact where the folder, its manifest or a file is missing or altered, where the
    format version is unknown, or where `kind` is given and the bundle is of another kind.
    """
    path = Path(path)
    manifest, fingerprint = read_manifest(path, format_version=FORMAT_VERSION)
    for field in _REQUIRED:
        if not isinstance(manifest.get(field), str):
            raise CorruptArtifact(f"{path}: the manifest lacks {field!r}")
    if kind is not None and manifest["kind"] != kind:
        raise CorruptArtifact(f"{path}: a bundle of kind {manifest['kind']!r}, not {kind!r}")
    return Bundle(path=path, manifest=manifest, fingerprint=fingerprint)


def write_bundle(path: Path | str, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> Bundle:
    """Write a bundle at `path` from the manifest's facts and the files to copy, then open it.

    `files` maps a name inside the bundle to the file to copy. An existing folder is replaced. Raises
    ValueError for a manifest without kind or name, and for a file name that is no plain name.
    """
    path = Path(path)
    if not all(isinstance(manifest.get(field), str) for field in _REQUIRED):
        raise ValueError(f"a bundle's manifest needs {' and '.join(_REQUIRED)}")
    write_folder(path, {**manifest, "format_version": FORMAT_VERSION}, files)
    return open_bundle(path)


def with_facts(bundle: Bundle, out: Path, facts: Mapping[str, Any]) -> Bundle:
    """Write a bundle's files to `out`, which may be its own folder, with more entries in the manifest."""
    return write_bundle(out, {**bundle.manifest, **facts}, bundle.files)


def read_manifest(path: Path, *, format_version: int, check_files: bool = True) -> tuple[dict[str, Any], str]:
    """Read and verify a hashed folder. Returns the manifest and its fingerprint (SHA-256, hex).

    Without `check_files` only the manifest itself is checked, which is quick however large the files are.
    Raises CorruptArtifact for anything but a whole folder of that format version.
    """
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptArtifact(f"{path}: cannot read {MANIFEST}: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise CorruptArtifact(f"{path}: {MANIFEST} is not a manifest")
    if manifest.get("format_version") != format_version:
        raise CorruptArtifact(
            f"{path}: format version {manifest.get('format_version')!r}, this program reads {format_version}"
        )
    if check_files:
        for name, expected in manifest["files"].items():
            _check_file(path, name, expected)
    fingerprint = hashlib.sha256(raw).hexdigest()
    _check_seal(path, fingerprint)
    return manifest, fingerprint


def write_folder(path: Path, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write a hashed folder: into a temporary sibling, synced, then renamed to `path`.

    Raises ValueError for a file name that is no plain name or is the manifest's own; OSError where the disk
    refuses, and the old folder is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        new = staging / "new"
        new.mkdir()
        _fill(new, manifest, files)
        _put_in_place(new, path, aside=staging / "old")
        sync(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _put_in_place(new: Path, path: Path, *, aside: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise


def _fill(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    for name, source in files.items():
        if not _is_plain(name):
            raise ValueError(f"not a name for a file of a bundle: {name!r}")
        shutil.copyfile(source, folder / name)
    seal_folder(folder, manifest, files)


def seal_folder(folder: Path, manifest: Mapping[str, Any], names: Iterable[str]) -> None:
    """Write the manifest over files that stand in `folder` already, with their hashes, and sync it all."""
    hashes = {name: sha256_of(folder / name) for name in names}
    text = json.dumps({**manifest, "files": hashes}, ensure_ascii=False, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    (folder / _SEAL).write_text(sha256_of(folder / MANIFEST), encoding="ascii")
    for name in (*hashes, MANIFEST, _SEAL):
        sync(folder / name)
    sync(folder)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_plain(name: str) -> bool:
    """Whether `name` is that of a file directly in the folder, and not one of the folder's own two."""
    return name != "" and name.isprintable() and Path(name).name == name and name not in (MANIFEST, _SEAL)


def _check_file(folder: Path, name: str, expected: object) -> None:
    if not _is_plain(name):
        raise CorruptArtifact(f"{folder}: the manifest names a file outside the folder: {name!r}")
    try:
        found = sha256_of(folder / name)
    except OSError as error:
        raise CorruptArtifact(f"{folder}: cannot read {name}: {error}") from error
    if found != expected:
        raise CorruptArtifact(f"{folder}: {name} has SHA-256 {found}, the manifest says {expected}")


def _check_seal(folder: Path, fingerprint: str) -> None:
    try:
        seal = (folder / _SEAL).read_bytes()
    except OSError as error:
        raise CorruptArtifact(f"{folder}: cannot read {_SEAL}: {error}") from error
    if seal != fingerprint.encode():
        raise CorruptArtifact(f"{folder}: {MANIFEST} is not the one that was written")
