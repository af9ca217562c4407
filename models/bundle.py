"""A model on disk: a folder with `manifest.json` and the files that it names.

The manifest holds every fact about the model (kind, architecture, tokenizer, prompt template, image
size, licence, training run) and the SHA-256 of each file, so that no server flag repeats them.
Opening a bundle checks every hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


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
    for field in ("kind", "name"):
        if not isinstance(manifest.get(field), str):
            raise CorruptArtifact(f"{path}: the manifest lacks {field!r}")
    if kind is not None and manifest["kind"] != kind:
        raise CorruptArtifact(f"{path}: a bundle of kind {manifest['kind']!r}, not {kind!r}")
    return Bundle(path=path, manifest=manifest, fingerprint=fingerprint)


def write_bundle(path: Path | str, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> Bundle:
    """Write a bundle at `path` from the manifest's facts and the files to copy, then open it.

    `files` maps a name inside the bundle to the file to copy. An existing folder is replaced.
    """
    path = Path(path)
    write_folder(path, {"format_version": FORMAT_VERSION, **manifest}, files)
    return open_bundle(path)


def read_manifest(path: Path, *, format_version: int) -> tuple[dict[str, Any], str]:
    """Read and verify a hashed folder. Returns the manifest and its fingerprint (SHA-256, hex).

    Raises CorruptArtifact for anything but a whole folder of that format version.
    """
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{path}: cannot read {MANIFEST}: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise CorruptArtifact(f"{path}: {MANIFEST} is not a manifest")
    if manifest.get("format_version") != format_version:
        raise CorruptArtifact(
            f"{path}: format version {manifest.get('format_version')!r}, this program reads {format_version}"
        )
    for name, expected in manifest["files"].items():
        _check_file(path, name, expected)
    return manifest, hashlib.sha256(raw).hexdigest()


def write_folder(path: Path, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write a hashed folder: into a temporary sibling, synced, then renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        hashes = {}
        for name, source in files.items():
            shutil.copyfile(source, staging / name)
            hashes[name] = sha256_of(staging / name)
            sync(staging / name)
        text = json.dumps({**manifest, "files": hashes}, ensure_ascii=False, indent=2) + "\n"
        (staging / MANIFEST).write_text(text, encoding="utf-8")
        sync(staging / MANIFEST)
        staging.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        staging.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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


def _check_file(folder: Path, name: str, expected: object) -> None:
    if Path(name).name != name:
        raise CorruptArtifact(f"{folder}: the manifest names a file outside the folder: {name!r}")
    try:
        found = sha256_of(folder / name)
    except OSError as error:
        raise CorruptArtifact(f"{folder}: cannot read {name}: {error}") from error
    if found != expected:
        raise CorruptArtifact(f"{folder}: {name} has SHA-256 {found}, the manifest says {expected}")
