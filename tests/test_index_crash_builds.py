"""`kill -9` of a building and publishing command at random moments: a server starts on what is left.

Two moments by default; IMAGE2POEM_KILLS=100 takes a hundred.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image2poem import Client
from index_builder import artifact
from index_builder.__main__ import main as index_builder
from index_builder.build import build_version
from index_builder.keywords import read_keywords
from models.bundle import open_bundle
from models.clip import Encoder

ROOT = Path(__file__).resolve().parent.parent
LITE = ROOT / "models" / "bundles" / "lite"
KILLS = int(os.environ.get("IMAGE2POEM_KILLS", "2"))
WORDS = 500


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.open(open_bundle(LITE, kind="encoder"), threads=1)


@pytest.fixture
def published(tmp_path: Path, encoder: Encoder) -> Iterator[Path]:
    """An index folder with a published version, and beside it a list with more words."""
    words = (ROOT / "index_builder" / "data" / "keywords.tsv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "first.tsv").write_text("\n".join(words[:300]), encoding="utf-8")
    (tmp_path / "list.tsv").write_text("\n".join(words[:WORDS]), encoding="utf-8")
    root = tmp_path / "index"
    artifact.publish(root, build_version(read_keywords(tmp_path / "first.tsv"), encoder, root=root))
    return root


def command(root: Path) -> list[str]:
    options = ["--keywords", str(root.parent / "list.tsv"), "--encoder", str(LITE), "--index", str(root)]
    return [sys.executable, "-m", "index_builder", "build", *options, "--publish", "--batch", "16"]


def run_and_kill(root: Path, after: float) -> bool:
    """Whether the command had ended by itself before it was killed."""
    child = subprocess.Popen(
        command(root), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return child.wait(after) == 0
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False


@contextmanager
def server(root: Path) -> Iterator[Client]:
    """A client of `python -m server` on the index folder, which must start."""
    poet = f"gpt2={ROOT / 'models' / 'bundles' / 'gpt2'}"
    options = ["--index", str(root), "--poet", poet, "--sources", "none", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-m", "server", *options, "--log-level", "error"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line, "the server did not start"
            with Client(json.loads(line)["address"], timeout=60) as client:
                yield client
        finally:
            process.kill()


def test_after_a_kill_at_any_moment_a_server_serves_a_whole_index(published: Path, encoder: Encoder) -> None:
    draw = random.Random(KILLS)
    began = time.monotonic()
    subprocess.run(command(published), cwd=ROOT, check=True, capture_output=True)
    usual = time.monotonic() - began
    kills = 0
    while kills < KILLS:
        before = artifact.publications(published)
        # Words stay in the cache from one to the next, so that the later steps are met too.
        if run_and_kill(published, draw.uniform(0.3, 1.1) * usual):
            usual *= 0.9  # quicker than the first time, or the moment was late
        else:
            kills += 1
        assert index_builder(["verify", "--index", str(published)]) == 0
        after = artifact.publications(published)
        assert after[: len(before)] == before
        assert len(after) <= len(before) + 1
        words = artifact.open_version(published, after[-1]).keywords
        with server(published) as client:
            for word in words[5::100]:
                found = client.lookup_keywords(text=word, top_k=1)
                assert found.index_version == after[-1]
                assert [keyword.text for keyword in found.keywords] == [word]
    subprocess.run(command(published), cwd=ROOT, check=True, capture_output=True)
    assert not list((published / "versions").glob(".*"))
    whole = artifact.read_version(published, artifact.published_version(published))
    fresh = build_version(
        read_keywords(published.parent / "list.tsv"), encoder, root=published, batch=16, use_cache=False
    )
    assert artifact.read_version(published, fresh)["files"] == whole["files"]
