"""Bundles on disk: written whole, opened only when every byte is what the manifest says."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.bundle import CorruptArtifact, open_bundle, read_manifest, sha256_of, write_bundle, write_folder

FACTS = {"kind": "encoder", "name": "tiny", "dimension": 4, "licence": "Apache-2.0", "image": {"mean": [0.5]}}
CONTENT = {"text.onnx": b"\x08\x07text graph", "vocabulary.txt": "明\n月\n".encode()}


def _sources(folder: Path) -> dict[str, Path]:
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in CONTENT}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    return write_bundle(tmp_path / "tiny", FACTS, _sources(tmp_path / "sources")).path


def _rewrite(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    changed = change(manifest)
    raw = json.dumps(manifest if changed is None else changed).encode()
    (bundle / "manifest.json").write_bytes(raw)
    (bundle / "manifest.sha256").write_text(hashlib.sha256(raw).hexdigest())


def test_what_was_written_is_opened(bundle: Path) -> None:
    opened = open_bundle(str(bundle), kind="encoder")
    assert (opened.kind, opened.name, opened.manifest["image"]) == ("encoder", "tiny", {"mean": [0.5]})
    assert {name: opened.file(name).read_bytes() for name in CONTENT} == CONTENT
    assert opened.fingerprint == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def test_nothing_else_is_left_beside_the_bundle(bundle: Path) -> None:
    assert sorted(entry.name for entry in bundle.parent.iterdir()) == ["sources", "tiny"]
    assert sorted(entry.name for entry in bundle.iterdir()) == sorted(
        [*CONTENT, "manifest.json", "manifest.sha256"]
    )
    assert bundle.stat().st_mode & 0o777 == 0o755


def test_the_fingerprint_is_that_of_the_content(bundle: Path) -> None:
    first = open_bundle(bundle).fingerprint
    sources = {name: bundle.parent / "sources" / name for name in CONTENT}
    assert write_bundle(bundle.parent / "again", FACTS, sources).fingerprint == first
    assert write_bundle(bundle.parent / "fact", {**FACTS, "dimension": 5}, sources).fingerprint != first
    sources["text.onnx"].write_bytes(b"other")
    assert write_bundle(bundle.parent / "file", FACTS, sources).fingerprint != first


def test_writing_again_replaces_the_bundle(bundle: Path) -> None:
    (bundle / "stale").write_bytes(b"")
    written = write_bundle(bundle, {**FACTS, "name": "new"}, {"one": bundle.parent / "sources" / "text.onnx"})
    assert written.name == "new"
    assert sorted(entry.name for entry in bundle.iterdir()) == ["manifest.json", "manifest.sha256", "one"]


def test_a_write_that_fails_keeps_the_old_bundle_and_leaves_nothing(bundle: Path) -> None:
    before = sorted(os.walk(bundle.parent))
    with pytest.raises(FileNotFoundError):
        write_bundle(bundle, FACTS, {"text.onnx": bundle.parent / "missing"})
    assert sorted(os.walk(bundle.parent)) == before
    assert open_bundle(bundle).name == "tiny"


def test_only_files_of_the_manifest_are_given_out(bundle: Path) -> None:
    (bundle / "stray").write_bytes(b"")
    with pytest.raises(CorruptArtifact, match="names no file 'stray'"):
        open_bundle(bundle).file("stray")


def test_a_bundle_of_another_kind_is_refused(bundle: Path) -> None:
    with pytest.raises(CorruptArtifact, match="kind 'encoder', not 'poet'"):
        open_bundle(bundle, kind="poet")


@pytest.mark.parametrize("name", [*CONTENT, "manifest.json", "manifest.sha256"])
def test_a_flipped_bit_in_any_byte_of_a_file_is_found(bundle: Path, name: str) -> None:
    whole, draw = (bundle / name).read_bytes(), random.Random(0)
    for place in range(len(whole)):
        flipped = whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :]
        (bundle / name).write_bytes(flipped)
        with pytest.raises(CorruptArtifact):
            open_bundle(bundle)


@pytest.mark.parametrize("name", [*CONTENT, "manifest.json"])
def test_a_truncated_a_longer_and_a_missing_file_are_found(bundle: Path, name: str) -> None:
    path = bundle / name
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-2], whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(CorruptArtifact, match=name):
            open_bundle(bundle)
    path.unlink()
    with pytest.raises(CorruptArtifact, match=name):
        open_bundle(bundle)
    path.mkdir()
    with pytest.raises(CorruptArtifact, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("path", ["missing", "sources", "sources/text.onnx"])
def test_a_folder_that_is_no_bundle_is_refused(bundle: Path, path: str) -> None:
    with pytest.raises(CorruptArtifact, match=r"cannot read manifest\.json"):
        open_bundle(bundle.parent / path)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: [],
        lambda manifest: "manifest",
        lambda manifest: {},
        lambda manifest: manifest.pop("files") and None,
        lambda manifest: manifest.update(files=["text.onnx"]),
        lambda manifest: manifest["files"].update({"text.onnx": None}),
        lambda manifest: manifest["files"].update({"text.onnx": "00" * 32}),
        lambda manifest: manifest["files"].update({"other.onnx": "00" * 32}),
        lambda manifest: manifest.update(format_version=2),
        lambda manifest: manifest.update(format_version="1"),
        lambda manifest: manifest.pop("format_version") and None,
        lambda manifest: manifest.pop("kind") and None,
        lambda manifest: manifest.update(name=7),
    ],
)
def test_a_malformed_manifest_is_refused(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    _rewrite(bundle, change)
    with pytest.raises(CorruptArtifact):
        open_bundle(bundle)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe\x00", b"null", b'{"files": {}', b"9" * 5000])
def test_a_manifest_that_is_no_json_is_refused(bundle: Path, raw: bytes) -> None:
    (bundle / "manifest.json").write_bytes(raw)
    with pytest.raises(CorruptArtifact):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["../sources/text.onnx", "/etc/hostname", "..", ".", "", "a/../text.onnx"])
def test_a_manifest_that_names_files_elsewhere_is_refused(bundle: Path, name: str) -> None:
    _rewrite(bundle, lambda manifest: manifest["files"].update({name: "00" * 32}))
    with pytest.raises(CorruptArtifact):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["../evil", "manifest.json", "manifest.sha256", "a/b", "", "nul\0"])
def test_a_name_that_is_no_plain_name_is_not_written(bundle: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        write_bundle(bundle, FACTS, {name: bundle.parent / "sources" / "text.onnx"})
    assert open_bundle(bundle).name == "tiny"


def test_facts_that_make_no_bundle_leave_the_old_one(bundle: Path) -> None:
    with pytest.raises(ValueError, match="kind and name"):
        write_bundle(bundle, {"kind": "poet"}, {})
    assert open_bundle(bundle).name == "tiny"


def test_any_hashed_folder_can_be_written_and_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    write_folder(tmp_path / "deep" / "folder", {"format_version": 3}, {"a": source})
    manifest, _ = read_manifest(tmp_path / "deep" / "folder", format_version=3)
    assert manifest["files"] == {"a": sha256_of(source)} == {"a": hashlib.sha256(b"abc").hexdigest()}
    with pytest.raises(CorruptArtifact, match="format version 3, this program reads 1"):
        open_bundle(tmp_path / "deep" / "folder")
