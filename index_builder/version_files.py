"""The files of one version: written into a work folder, hashed, read back as a `FaissIndex`.

manifest.json  keywords.txt  vectors.npy  index.faiss        and, of lists that ask for it,
weights.npy    what each keyword's score is multiplied by
shift.npy      what is taken off each query: the correction by mean similarity
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index_builder.device import Device
from index_builder.faiss_index import FaissIndex
from index_builder.kinds import IndexKind, read_at_random
from models.bundle import CorruptArtifact, read_manifest, seal_folder

FORMAT_VERSION = 1
METRIC = "inner_product"
KEYWORDS, VECTORS, INDEX = "keywords.txt", "vectors.npy", "index.faiss"
WEIGHTS, SHIFT = "weights.npy", "shift.npy"

_ALWAYS, _SOMETIMES = {KEYWORDS, VECTORS, INDEX}, {WEIGHTS, SHIFT}
_MAP_FROM_BYTES = 2**28


def fill(
    folder: Path,
    manifest: Mapping[str, Any],
    *,
    keywords: Sequence[str],
    vectors: np.ndarray | Path,
    index: faiss.Index,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> str:
    """Write a version's files into an empty folder, hash and sync them; returns the manifest's SHA-256.

    `vectors` are the rows, or a `.npy` file on the same disk, which is moved. Raises OSError.
    """
    with (folder / KEYWORDS).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{word}\n" for word in keywords)
    if isinstance(vectors, Path):
        os.rename(vectors, folder / VECTORS)
    else:
        np.save(folder / VECTORS, vectors)
    faiss.write_index(index, str(folder / INDEX))
    names = [KEYWORDS, VECTORS, INDEX]
    for name, values in ((WEIGHTS, weights), (SHIFT, shift)):
        if values is not None:
            np.save(folder / name, np.asarray(values, np.float32))
            names.append(name)
    # Sealing reads every file to hash it; to do so again at once would only read the same memory.
    seal_folder(folder, manifest, names)
    return read_manifest(folder, format_version=FORMAT_VERSION, check_files=False)[1]


def read_facts(folder: Path, *, check_files: bool) -> dict[str, Any]:
    """The manifest of the version in `folder`, whose name must end in the manifest's hash.

    Raises CorruptArtifact.
    """
    manifest, fingerprint = read_manifest(folder, format_version=FORMAT_VERSION, check_files=check_files)
    if not folder.name.endswith(fingerprint[:8]):
        raise CorruptArtifact(f"{folder}: the manifest was altered (its SHA-256 is {fingerprint[:8]}…)")
    files = set(manifest["files"])
    if not _ALWAYS <= files <= _ALWAYS | _SOMETIMES:
        raise CorruptArtifact(f"{folder}: the manifest names other files: {sorted(files)}")
    try:
        facts = (manifest["metric"], manifest["encoder"]["name"], manifest["index"]["kind"])
        fingerprint = manifest["encoder"]["fingerprint"]
        parameters = manifest["index"].get("parameters", {}).values()
    except (LookupError, TypeError, AttributeError) as error:
        raise CorruptArtifact(f"{folder}: the manifest lacks a fact: {error!r}") from error
    if not all(isinstance(fact, str) for fact in (*facts, fingerprint)) or not all(
        isinstance(value, int) for value in parameters
    ):
        raise CorruptArtifact(f"{folder}: the manifest is malformed")
    return manifest


def load(
    folder: Path, manifest: Mapping[str, Any], *, device: str | Device = "cpu", mmap: bool | None = None
) -> FaissIndex:
    """Read the files of a checked folder.

    Args:
        device: `cpu`, `cuda`, or what moves an index to a device.
        mmap: whether the FAISS file stays on the disk and is read page by page; by its size where None.

    Raises CorruptArtifact where the files contradict the manifest, DeviceUnavailable.
    """
    try:
        keywords = read_keywords_file(folder)
        rows = np.load(folder / VECTORS, mmap_mode="r")
        read_at_random(rows)
        weights, shift = (_optional(folder, manifest, name) for name in (WEIGHTS, SHIFT))
        index = _read_index(folder / INDEX, str(manifest["index"]["kind"]), mmap)
    # FAISS reports what it cannot read as RuntimeError.
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise CorruptArtifact(f"{folder}: {error}") from error
    count, dimension = manifest.get("count"), manifest.get("dimension")
    expected = (count, (count, dimension), (count, dimension), np.float32, METRIC)
    metric = METRIC if index.metric_type == faiss.METRIC_INNER_PRODUCT else index.metric_type
    found = (len(keywords), rows.shape, (index.ntotal, index.d), rows.dtype, metric)
    if found != expected or manifest["metric"] != METRIC:
        raise CorruptArtifact(f"{folder}: the files hold {found}, the manifest says {expected}")
    _check_extras(folder, weights, shift, rows.shape)
    facts = manifest["index"]
    kind = IndexKind(kind=facts["kind"], parameters=facts.get("parameters", {}))
    return FaissIndex(
        Device.named(device).place(index, kind.kind),
        keywords,
        version=folder.name,
        encoder_fingerprint=manifest["encoder"]["fingerprint"],
        kind=kind,
        rows=rows,
        weights=weights,
        shift=shift,
    )


def read_keywords_file(folder: Path) -> list[str]:
    """The words of a version, in order. Raises OSError, UnicodeDecodeError."""
    return (folder / KEYWORDS).read_bytes().decode("utf-8").split("\n")[:-1]


def _read_index(path: Path, kind: str, mmap: bool | None) -> Any:
    mapped = path.stat().st_size >= _MAP_FROM_BYTES if mmap is None else mmap
    # FAISS maps inverted lists one way and everything else another.
    flags = faiss.IO_FLAG_MMAP if kind.startswith("ivf") else faiss.IO_FLAG_MMAP_IFC
    return faiss.read_index(str(path), flags if mapped else 0)


def _optional(folder: Path, manifest: Mapping[str, Any], name: str) -> np.ndarray | None:
    return np.load(folder / name) if name in manifest["files"] else None


def _check_extras(
    folder: Path, weights: np.ndarray | None, shift: np.ndarray | None, shape: tuple[int, int]
) -> None:
    for values, length in ((weights, shape[0]), (shift, shape[1])):
        if values is not None and (values.shape != (length,) or not np.isfinite(values).all()):
            raise CorruptArtifact(f"{folder}: weights or shift do not fit {shape} vectors")
