"""Publishing and its history, roll-back, differences, leases and garbage collection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact, history
from index_builder.artifact import IndexMissing, RecallTooLow
from index_builder.build import build_version
from index_builder.kinds import IndexKind, make_index
from models.bundle import CorruptArtifact
from test_index_artifact import ENCODER, FACTS, WORDS, write
from test_index_build import LIST


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """Three versions, published one after the other in `tmp_path`."""
    made = [write(tmp_path, (*WORDS, *new)) for new in ((), ("斜阳",), ("斜阳", "柴门"))]
    for version in made:
        artifact.publish(tmp_path, version)
    return made


def test_rolling_back_twice_goes_further_back(tmp_path: Path, three: list[str]) -> None:
    first, second, third = three
    assert artifact.publications(tmp_path) == three
    assert artifact.rollback(tmp_path) == second == artifact.published_version(tmp_path)
    assert artifact.rollback(tmp_path) == first == artifact.published_version(tmp_path)
    with pytest.raises(IndexMissing, match="before the current one"):
        artifact.rollback(tmp_path)
    artifact.publish(tmp_path, third)
    assert artifact.publications(tmp_path) == [first, third]
    assert artifact.rollback(tmp_path) == first


def test_publishing_the_current_version_again_is_no_step(tmp_path: Path, three: list[str]) -> None:
    artifact.publish(tmp_path, three[2])
    assert artifact.publications(tmp_path) == three
    artifact.publish(tmp_path, three[0])
    assert artifact.rollback(tmp_path) == three[2]


def test_a_roll_back_passes_over_versions_that_are_gone(tmp_path: Path, three: list[str]) -> None:
    shutil.rmtree(tmp_path / "versions" / three[1])
    assert artifact.rollback(tmp_path) == three[0]


def test_the_previous_version_is_what_a_roll_back_publishes(tmp_path: Path, three: list[str]) -> None:
    assert artifact.previous_version(tmp_path) == three[1] == artifact.rollback(tmp_path)


def test_a_version_is_not_the_one_before_itself(tmp_path: Path, three: list[str]) -> None:
    first, second, third = three
    artifact.rollback(tmp_path)
    artifact.publish(tmp_path, third)
    artifact.publish(tmp_path, second)
    shutil.rmtree(tmp_path / "versions" / third)
    shutil.rmtree(tmp_path / "versions" / first)
    assert artifact.publications(tmp_path) == [first, second, third, second]
    for ask in (artifact.previous_version, artifact.rollback):
        with pytest.raises(IndexMissing, match="before the current one"):
            ask(tmp_path)


def test_a_roll_back_to_a_corrupt_version_is_refused(tmp_path: Path, three: list[str]) -> None:
    (tmp_path / "versions" / three[1] / "vectors.npy").write_bytes(b"")
    with pytest.raises(CorruptArtifact):
        artifact.rollback(tmp_path)
    assert artifact.published_version(tmp_path) == three[2]


def test_nothing_published_has_no_history(tmp_path: Path) -> None:
    assert artifact.publications(tmp_path) == []
    with pytest.raises(IndexMissing):
        artifact.rollback(tmp_path)


def test_an_index_without_a_history_begins_one(tmp_path: Path, three: list[str]) -> None:
    (tmp_path / "HISTORY").unlink()
    assert artifact.publications(tmp_path) == [three[2]]
    artifact.publish(tmp_path, three[0])
    assert artifact.rollback(tmp_path) == three[2]


def test_a_flipped_bit_in_any_byte_of_the_history_is_found(tmp_path: Path, three: list[str]) -> None:
    path = tmp_path / "HISTORY"
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptArtifact, match="HISTORY"):
            artifact.publications(tmp_path)
    assert artifact.published_version(tmp_path) == three[2]
    artifact.publish(tmp_path, three[0])
    assert artifact.publications(tmp_path) == [three[0]]


@pytest.mark.parametrize("act", [history.step_forward, history.step_back])
@pytest.mark.parametrize("writes", [0, 1])
def test_a_crash_between_history_and_pointer_loses_neither(
    tmp_path: Path,
    three: list[str],
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[..., None],
    writes: int,
) -> None:
    """After `writes` of the two files the process dies."""
    done, real = [], history._write

    def write_some(path: Path, text: str) -> None:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        real(path, text)

    monkeypatch.setattr(history, "_write", write_some)
    with pytest.raises(KeyboardInterrupt):
        act(tmp_path, three[0] if act is history.step_forward else three[:2])
    monkeypatch.undo()
    back = act is history.step_back and writes == 1
    assert artifact.publications(tmp_path) == (three[:2] if back else three)


def test_a_difference_lists_words_in_their_order(tmp_path: Path, three: list[str]) -> None:
    found = artifact.diff(tmp_path, three[0], three[2])
    assert (found.added, found.removed) == (("斜阳", "柴门"), ())
    found = artifact.diff(tmp_path, three[2], write(tmp_path, ("新月", "明月")))
    assert (found.added, found.removed) == (("新月",), ("秋江", "孤舟", "断崖", "飞瀑", "斜阳", "柴门"))
    with pytest.raises(IndexMissing):
        artifact.diff(tmp_path, three[0], "nothing")


def test_collecting_spares_the_current_the_newest_and_what_is_named(tmp_path: Path, three: list[str]) -> None:
    newer = [write(tmp_path) for _ in range(2)]
    assert artifact.collect(tmp_path, keep=2, in_use=[three[0]]) == [three[1]]
    assert artifact.collect(tmp_path, keep=2, in_use=[three[0]]) == []
    assert artifact.collect(tmp_path, keep=0) == [three[0], *newer]
    assert artifact.list_versions(tmp_path) == [three[2]]
    assert artifact.verify(tmp_path, three[2])["count"] == 7
    assert sorted(entry.name for entry in (tmp_path / "versions").iterdir()) == [three[2]]
    with pytest.raises(ValueError, match="negative"):
        artifact.collect(tmp_path, keep=-1)


def test_collecting_removes_what_is_corrupt_and_stops_at_a_broken_pointer(
    tmp_path: Path, three: list[str]
) -> None:
    (tmp_path / "versions" / three[0] / "manifest.json").unlink()
    assert artifact.collect(tmp_path, keep=0) == three[:2]
    (tmp_path / "CURRENT").write_text("nonsense")
    with pytest.raises(CorruptArtifact):
        artifact.collect(tmp_path, keep=0)


def test_a_held_version_stays_until_it_is_let_go(tmp_path: Path, three: list[str]) -> None:
    lease, other = artifact.hold(tmp_path, three[0]), artifact.hold(tmp_path, three[0])
    assert lease.version == three[0]
    assert artifact.collect(tmp_path, keep=0) == [three[1]]
    lease.close()
    lease.close()
    assert artifact.collect(tmp_path, keep=0) == []
    with other:
        pass
    assert artifact.collect(tmp_path, keep=0) == [three[0]]
    with pytest.raises(IndexMissing):
        artifact.hold(tmp_path, three[0])


def test_another_process_holds_a_version_until_it_is_killed(tmp_path: Path, three: list[str]) -> None:
    code = (
        "import sys, time; from pathlib import Path; from index_builder import artifact;"
        "lease = artifact.hold(Path(sys.argv[1]), sys.argv[2]); print('held', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), three[0]],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert artifact.collect(tmp_path, keep=0) == [three[1]]
    finally:
        child.kill()
        child.wait()
    assert artifact.collect(tmp_path, keep=0) == [three[0]]


def test_a_version_on_a_read_only_disk_can_be_held(tmp_path: Path, three: list[str]) -> None:
    folder = tmp_path / "versions" / three[0]
    for path in (*folder.iterdir(), folder, tmp_path / "versions", tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        artifact.hold(tmp_path, three[0]).close()
        artifact.open_published(tmp_path, encoder_fingerprint=ENCODER.fingerprint)
    finally:
        for path in (tmp_path, tmp_path / "versions", folder):
            path.chmod(0o755)


def test_an_index_that_finds_too_little_is_not_published(tmp_path: Path) -> None:
    vectors = ENCODER.encode_texts(WORDS)
    index = make_index(vectors, IndexKind(kind="hnsw"))
    facts = {**FACTS, "index": {"kind": "hnsw", "parameters": {}}}
    for recall, refused in ((0.89, True), (0.9, False), (None, True), (float("nan"), True)):
        more = {} if recall is None else {"recall": {"value": recall}}
        version = artifact.write_version(
            tmp_path, keywords=WORDS, vectors=vectors, index=index, facts={**facts, **more}
        )
        if refused:
            with pytest.raises(RecallTooLow, match="min-recall"):
                artifact.publish(tmp_path, version)
            assert version not in artifact.publications(tmp_path)
        artifact.publish(tmp_path, version, min_recall=0)


def test_a_manifest_can_be_read_without_reading_the_files(tmp_path: Path, three: list[str]) -> None:
    folder = tmp_path / "versions" / three[0]
    (folder / "vectors.npy").write_bytes(b"")
    assert artifact.read_version(tmp_path, three[0], check_files=False)["count"] == 5
    with pytest.raises(CorruptArtifact):
        artifact.read_version(tmp_path, three[0])
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"count": 5', b'"count": 6'))
    with pytest.raises(CorruptArtifact):
        artifact.read_version(tmp_path, three[0], check_files=False)


@pytest.mark.parametrize("name", ["weights.npy", "shift.npy"])
def test_a_flipped_bit_in_any_byte_of_what_few_versions_have_is_found(tmp_path: Path, name: str) -> None:
    version = artifact.write_version(
        tmp_path,
        keywords=WORDS,
        vectors=ENCODER.encode_texts(WORDS),
        index=make_index(ENCODER.encode_texts(WORDS), IndexKind(kind="flat")),
        facts=FACTS,
        weights=np.ones(5),
        shift=np.zeros(4),
    )
    path = tmp_path / "versions" / version / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(CorruptArtifact):
            artifact.verify(tmp_path, version)


def test_two_builds_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    inner: list[str] = []

    def build_inside(done: int, total: int) -> None:
        if not inner:
            inner.append("")
            inner[0] = build_version(LIST, FakeEncoder(name="other"), root=tmp_path)

    outer = build_version(LIST, FakeEncoder(), root=tmp_path, report=build_inside)
    assert artifact.list_versions(tmp_path) == [inner[0], outer]
