"""A builder or publisher that dies, at every step and at random moments, leaves a whole index."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from index_builder import artifact
from test_index_artifact import ENCODER, WORDS, write

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

# What Python reports to audit hooks before it touches the disk. Each sync is an `open` here.
STEPS = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.chmod",
    "shutil.copyfile",
    "shutil.rmtree",
}


def _in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child that ends without any clean-up; returns its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def _die_before_step(number: int) -> None:
    seen = 0

    def hook(event: str, _: object) -> None:
        nonlocal seen
        if event in STEPS:
            seen += 1
            if seen > number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _build_and_publish(root: Path) -> None:
    artifact.publish(root, write(root))


def _assert_whole(root: Path) -> str:
    """The published version opens, and every version that is listed is clean."""
    for version in artifact.list_versions(root):
        artifact.verify(root, version)
    index = artifact.open_published(root, encoder_fingerprint=ENCODER.fingerprint)
    assert index.keywords == WORDS
    return index.version


def test_death_before_any_step_leaves_the_old_version_or_the_new_one_whole(tmp_path: Path) -> None:
    _build_and_publish(tmp_path)
    step, finished, replaced = 0, False, 0
    while not finished:
        before = artifact.published_version(tmp_path)

        def work(step: int = step) -> None:
            _die_before_step(step)
            _build_and_publish(tmp_path)

        _, status = os.waitpid(_in_child(work), 0)
        finished = status == 0
        assert finished or os.WTERMSIG(status) == signal.SIGKILL
        after = _assert_whole(tmp_path)
        if after != before:
            replaced += 1
            assert after == artifact.list_versions(tmp_path)[-1]
        step += 1
    assert step > 20  # the hook saw the work
    assert 0 < replaced < 4  # only the last steps lie behind the change of the pointer


def test_death_at_random_moments_leaves_a_whole_version(tmp_path: Path) -> None:
    _build_and_publish(tmp_path)
    draw = random.Random(0)

    def work() -> None:
        while True:
            _build_and_publish(tmp_path)

    for _ in range(20):
        child = _in_child(work)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _assert_whole(tmp_path)
    _build_and_publish(tmp_path)
    assert not list((tmp_path / "versions").glob(".*"))


def test_writers_at_once_all_get_their_version(tmp_path: Path) -> None:
    children = [_in_child(lambda: _build_and_publish(tmp_path)) for _ in range(6)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    assert len(artifact.list_versions(tmp_path)) == 6
    _assert_whole(tmp_path)


def test_everything_is_on_the_disk_before_a_rename_makes_it_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def logged(verb: str, act: Callable[..., None]) -> Callable[..., None]:
        def call(source: Path, target: Path) -> None:
            log.append(f"{verb} {Path(target).name}")
            act(source, target)

        return call

    def logged_sync(descriptor: int) -> None:
        log.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", logged_sync)
    monkeypatch.setattr(os, "rename", logged("rename", rename))
    monkeypatch.setattr(os, "replace", logged("replace", replace))
    version = write(tmp_path)
    before, after = log[: log.index(f"rename {version}")], log[log.index(f"rename {version}") :]
    names = ("keywords.txt", "vectors.npy", "index.faiss", "manifest.json", "sealed")
    assert {f"sync {name}" for name in names} <= set(before)
    assert "sync versions" in after
    log.clear()
    artifact.publish(tmp_path, version)
    steps = ("sync HISTORY.tmp", "replace HISTORY", "sync CURRENT.tmp", "replace CURRENT")
    assert log == [*steps[:2], f"sync {tmp_path.name}", *steps[2:], f"sync {tmp_path.name}"]
