"""`image2poem admin`: what operators type and read."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fakes import snapshot
from image2poem.__main__ import main
from index_builder import artifact
from index_versions import ENCODER, MARKS, build, publish, words_of
from server.index_rebuild import Rebuilder
from server.index_source import FolderSource, load_published

WORKER = (sys.executable, str(Path(__file__).resolve().parent / "fake_rebuild_worker.py"))


@pytest.fixture
def root(tmp_path):
    publish(tmp_path / "index", MARKS[0])
    return tmp_path / "index"


@pytest.fixture
def admin(serve, root, monkeypatch, capsys):
    """Runs `image2poem admin …`; gives exit status, stdout and stderr."""
    monkeypatch.setattr("server.app.Rebuilder", partial(Rebuilder, command=WORKER))

    def load(config):
        return replace(
            snapshot(), index=load_published(FolderSource(root=root), encoder_fingerprint=ENCODER.fingerprint)
        )

    running = serve(load=load, index=root, admin=True)

    def run(action, *arguments):
        status = main(["admin", action, *map(str, arguments), "--target", running.target])
        return (status, *capsys.readouterr())

    return run


def test_list_marks_what_is_served(admin, root):
    first = artifact.published_version(root)
    second = publish(root, MARKS[1])
    status, out, _ = admin("list")
    assert (status, out.splitlines()) == (
        0,
        [
            f"* {first}  40 keywords, flat, encoder fake, recall 1",
            f"+ {second}  40 keywords, flat, encoder fake, recall 1",
        ],
    )
    rows = [json.loads(line) for line in admin("list", "--json")[1].splitlines()]
    assert [(row["name"], row["serving"], row["published"]) for row in rows] == [
        (first, True, False),
        (second, False, True),
    ]


def test_activate_and_rollback_say_what_took_whose_place(admin, root):
    first = artifact.published_version(root)
    second = build(root, MARKS[1])
    assert admin("activate", second)[1] == f"{second} is published and served, instead of {first}\n"
    assert admin("activate")[1] == f"{second} is published, and was served already\n"
    assert admin("rollback")[1] == f"{first} is published and served, instead of {second}\n"
    status, out, err = admin("rollback")
    assert (status, out) == (1, "")
    assert err.startswith("image2poem: no version that is still kept")
    assert len(err.splitlines()) == 1


def test_rebuild_counts_and_ends_in_a_version(admin, root, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join((*words_of(MARKS[0])[:10], *words_of(MARKS[1]), "hello")), encoding="utf-8")
    stop = tmp_path / "stop.txt"
    stop.write_text(words_of(MARKS[1])[0], encoding="utf-8")
    first = artifact.published_version(root)
    status, out, err = admin("rebuild", words, "--stop-words", stop)
    assert status == 0
    read, published = out.splitlines()
    assert read == "49 keywords; dropped: not_chinese 1, stopped 1"
    version = artifact.published_version(root)
    assert published == (
        f"{version} is published and served: 49 keywords, 39 added and 30 removed against {first}"
    )
    assert "embedded 49 of 49" in err
    events = [json.loads(line) for line in admin("rebuild", words, "--json")[1].splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("listread", "indexpublished")


@pytest.mark.parametrize("content", [None, b"\xff\x00", b"hello\n"], ids=["missing", "bytes", "english"])
def test_a_wrong_list_is_one_line_on_stderr(admin, tmp_path, content):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    status, out, err = admin("rebuild", path)
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
