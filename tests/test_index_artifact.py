"""The artifact on disk: versions, the pointer, corruption of every file, foreign encoders."""

from __future__ import annotations

import json
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import faiss
import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact, versions
from index_builder.artifact import EncoderMismatch, IndexMissing
from index_builder.index import KeywordIndex
from models.bundle import CorruptArtifact, read_manifest, write_folder

WORDS = ("明月", "秋江", "孤舟", "断崖", "飞瀑")
ENCODER = FakeEncoder(dimension=4)
FACTS = {
    "encoder": {"name": ENCODER.name, "fingerprint": ENCODER.fingerprint},
    "index": {"kind": "flat", "parameters": {}},
}


def write(root: Path, words: tuple[str, ...] = WORDS) -> str:
    vectors = ENCODER.encode_texts(words)
    index = faiss.IndexFlatIP(4)
    index.add(vectors)
    return artifact.write_version(root, keywords=words, vectors=vectors, index=index, facts=FACTS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An index folder with one published version."""
    artifact.publish(tmp_path / "index", write(tmp_path / "index"))
    return tmp_path / "index"


def open_index(root: Path) -> KeywordIndex:
    return artifact.open_published(root, encoder_fingerprint=ENCODER.fingerprint)


def folder_of(root: Path) -> Path:
    return root / "versions" / artifact.published_version(root)


def test_what_was_published_is_opened(root: Path) -> None:
    index = open_index(root)
    assert index.version == artifact.published_version(root) == artifact.list_versions(root)[-1]
    assert (index.count, index.dimension, index.kind) == (5, 4, "flat")
    assert index.encoder_fingerprint == ENCODER.fingerprint
    for word in WORDS:
        assert index.nearest(ENCODER.encode_texts([word])[0], 1)[0].text == word


def test_a_new_version_is_not_served_before_it_is_published(root: Path) -> None:
    old = artifact.published_version(root)
    new = write(root, (*WORDS, "斜阳"))
    assert open_index(root).version == old
    assert artifact.read_version(root, new)["parent"] == old
    artifact.publish(root, new)
    assert open_index(root).count == 6
    artifact.publish(root, old)
    assert open_index(root).count == 5


def test_version_names_sort_by_age_also_within_a_second(tmp_path: Path) -> None:
    made = [write(tmp_path) for _ in range(4)]
    assert made == sorted(set(made)) == artifact.list_versions(tmp_path)


def test_version_names_sort_by_age_also_when_the_clock_goes_back(tmp_path: Path) -> None:
    later = versions._stamp(datetime(2026, 1, 1, tzinfo=UTC), ["20991231T235959Z-00000000"])
    assert later == "21000101T000000Z"


def test_nothing_but_whole_versions_is_left(root: Path) -> None:
    assert sorted(entry.name for entry in root.iterdir()) == [".lock", "CURRENT", "HISTORY", "versions"]
    assert [entry.name for entry in (root / "versions").iterdir()] == artifact.list_versions(root)
    assert (root / "CURRENT").read_text() == artifact.list_versions(root)[0] + "\n"


def test_what_a_killed_build_left_is_not_a_version_and_is_swept_by_the_next(root: Path) -> None:
    left = root / "versions" / ".work-abc"
    left.mkdir()
    (left / "vectors.npy").write_bytes(b"half")
    assert len(artifact.list_versions(root)) == 1
    write(root)
    assert not left.exists()


def test_an_empty_or_missing_root_says_that_nothing_is_published(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "missing"):
        assert artifact.list_versions(root) == []
        with pytest.raises(IndexMissing, match="no index is published"):
            open_index(root)
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
    write(tmp_path)
    with pytest.raises(IndexMissing):
        open_index(tmp_path)


@pytest.mark.parametrize("version", ["20260101T000000Z-00000000", "..", "", "latest", "a/b", "x\0y"])
def test_an_unknown_version_is_missing(root: Path, version: str) -> None:
    for act in (artifact.publish, artifact.verify, artifact.open_version, artifact.read_version):
        with pytest.raises(IndexMissing):
            act(root, version)


def test_a_foreign_encoder_is_refused_and_named(root: Path) -> None:
    with pytest.raises(EncoderMismatch, match="'fake'"):
        artifact.open_published(root, encoder_fingerprint=FakeEncoder(name="other").fingerprint)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "20260101T000000Z-00000000\n", "../..\n", "{version}", "{version}\n\n", " {version}\n", "月"],
)
def test_a_bad_pointer_is_corrupt_and_the_next_publish_repairs_it(root: Path, text: str) -> None:
    version = artifact.published_version(root)
    (root / "CURRENT").write_text(text.format(version=version), encoding="utf-8")
    with pytest.raises(CorruptArtifact):
        open_index(root)
    repaired = write(root)
    assert artifact.read_version(root, repaired)["parent"] is None
    artifact.publish(root, repaired)
    assert open_index(root).version == repaired


@pytest.mark.parametrize(
    "name", ["manifest.json", "manifest.sha256", "keywords.txt", "vectors.npy", "index.faiss"]
)
def test_a_flipped_bit_in_any_byte_of_any_file_is_found(root: Path, name: str) -> None:
    path, draw = folder_of(root) / name, random.Random(0)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(CorruptArtifact):
            open_index(root)
    path.write_bytes(whole)
    assert open_index(root).count == 5


def test_a_flipped_bit_in_any_byte_of_the_pointer_is_found(root: Path) -> None:
    path = root / "CURRENT"
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptArtifact):
            open_index(root)


@pytest.mark.parametrize("name", ["manifest.json", "keywords.txt", "vectors.npy", "index.faiss"])
def test_a_truncated_a_longer_and_a_missing_file_are_found(root: Path, name: str) -> None:
    path = folder_of(root) / name
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-1], whole + b"\n"):
        path.write_bytes(content)
        with pytest.raises(CorruptArtifact):
            open_index(root)
    path.unlink()
    with pytest.raises(CorruptArtifact):
        open_index(root)
    path.mkdir()
    with pytest.raises(CorruptArtifact):
        open_index(root)


def test_a_corrupt_version_is_not_published(root: Path) -> None:
    old, new = artifact.published_version(root), write(root)
    (root / "versions" / new / "index.faiss").write_bytes(b"")
    with pytest.raises(CorruptArtifact):
        artifact.publish(root, new)
    assert open_index(root).version == old


def test_a_missing_version_folder_is_found(root: Path) -> None:
    shutil.rmtree(folder_of(root))
    with pytest.raises(CorruptArtifact, match="missing version"):
        open_index(root)


def _forge(root: Path, **changes: object) -> str:
    """A version whose hashes all fit but whose facts are changed; returns its name."""
    source = folder_of(root)
    manifest = {**json.loads((source / "manifest.json").read_text("utf-8")), **changes}
    names = manifest.pop("files")
    target = root / "versions" / "forged"
    write_folder(target, manifest, {name: source / name for name in names})
    return _named_by_hash(target)


def _named_by_hash(target: Path) -> str:
    version = f"20990101T000000Z-{read_manifest(target, format_version=1)[1][:8]}"
    target.rename(target.with_name(version))
    return version


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 4},
        {"count": "5"},
        {"count": None},
        {"dimension": 5},
        {"metric": "l2"},
        {"metric": None},
        {"encoder": None},
        {"encoder": {"name": "fake"}},
        {"encoder": {"name": "fake", "fingerprint": 7}},
        {"index": "flat"},
        {"index": {}},
    ],
)
def test_facts_that_contradict_the_files_are_corrupt(root: Path, changes: dict[str, object]) -> None:
    assert artifact.verify(root, _forge(root))["count"] == 5
    with pytest.raises(CorruptArtifact):
        artifact.open_version(root, _forge(root, **changes))


def test_another_format_version_is_refused(root: Path) -> None:
    manifest = json.loads((folder_of(root) / "manifest.json").read_text("utf-8"))
    (folder_of(root) / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(CorruptArtifact, match="format version 2"):
        open_index(root)


@pytest.mark.parametrize("name", ["../CURRENT", "/etc/hostname", "..", "."])
def test_a_manifest_that_names_files_elsewhere_is_refused(root: Path, name: str) -> None:
    path = folder_of(root) / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["files"][name] = "00" * 32
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptArtifact):
        open_index(root)


@pytest.mark.parametrize("files", [("keywords.txt",), ("keywords.txt", "vectors.npy", "index.faiss", "more")])
def test_a_manifest_that_names_other_files_is_refused(root: Path, files: tuple[str, ...]) -> None:
    source = folder_of(root)
    (source / "more").write_bytes(b"")
    manifest = json.loads((source / "manifest.json").read_text("utf-8"))
    write_folder(root / "versions" / "forged", manifest, {name: source / name for name in files})
    with pytest.raises(CorruptArtifact, match="names other files"):
        artifact.open_version(root, _named_by_hash(root / "versions" / "forged"))


@pytest.mark.parametrize(
    ("keywords", "lengths"), [(("月", "月"), (1, 1)), (("月", ""), (1, 1)), (("月", "山"), (1, 2))]
)
def test_verify_looks_into_the_files(
    tmp_path: Path, keywords: tuple[str, ...], lengths: tuple[int, ...]
) -> None:
    vectors = np.eye(2, 4, dtype=np.float32) * np.array(lengths, dtype=np.float32)[:, np.newaxis]
    index = faiss.IndexFlatIP(4)
    index.add(vectors)
    version = artifact.write_version(tmp_path, keywords=keywords, vectors=vectors, index=index, facts=FACTS)
    with pytest.raises(CorruptArtifact):
        artifact.verify(tmp_path, version)


def test_a_full_disk_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(os.walk(root))
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write(root)
    monkeypatch.undo()
    assert sorted(os.walk(root)) == before
    assert open_index(root).count == 5
