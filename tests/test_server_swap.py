"""A running server follows what is published: whole versions or the old one, and no request notices."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from fake_encoder import FakeEncoder as OtherEncoder
from fakes import PICTURE, FakeEncoder, GatedPoet, eventually, snapshot
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from index_builder import artifact
from index_versions import ENCODER, MARKS, build, flip_a_bit, publish
from server import telemetry
from server.index_source import FolderSource, load_published
from server.index_watch import IndexWatch

ROOT = Path(__file__).resolve().parent.parent
LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)
COMPOSE = pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_QIJUE, line_choices=1)


def load_from(root, poets=None):
    """What the server opens its snapshot with: fakes, and the published index."""

    def load(config):
        index = load_published(FolderSource(root=root), encoder_fingerprint=ENCODER.fingerprint)
        return replace(snapshot(poets), index=index)

    return load


@pytest.fixture
def root(tmp_path):
    publish(tmp_path, MARKS[0])
    return tmp_path


@pytest.fixture
def watching(serve, root):
    """A server that follows the index folder."""
    return serve(load=load_from(root), index=root, index_poll=0.02)


def served(running):
    return running.app.catalog.current().index.version


def test_ten_publishes_under_load_fail_no_request_and_mix_no_versions(serve, root):
    running = serve(load=load_from(root), index=root, index_poll=0.02, waiting=200)
    marks = {served(running): MARKS[0]}
    replies, failures, stop = [], [], threading.Event()

    def look_up():
        while not stop.is_set():
            try:
                reply = running.stub.LookupKeywords(LOOKUP)
                replies.append((reply.index_version, {word.text[0] for word in reply.keywords}))
            except Exception as error:
                failures.append(error)

    def compose():
        while not stop.is_set():
            try:
                messages = list(running.stub.ComposePoem(COMPOSE))
                first, last = messages[0].retrieved, messages[-1].finished
                assert list(first.keywords) == list(last.keywords)
                assert first.index_version == last.index_version
                replies.append((last.index_version, {word.text[0] for word in last.keywords}))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for work in (look_up, look_up, compose)]
    for thread in threads:
        thread.start()
    for mark in MARKS[1:11]:
        version = publish(root, mark)
        marks[version] = mark
        assert eventually(lambda version=version: served(running) == version)
        seen = len(replies)
        assert eventually(lambda seen=seen: len(replies) > seen + 5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert all(words == {marks[version]} for version, words in replies)
    assert {version for version, _ in replies} == set(marks)
    assert running.app.index.counters.swaps == 10
    assert eventually(lambda: running.app.index.counters.retired == 0)


def test_a_poem_keeps_its_version_and_frees_it_at_its_end(serve, root):
    poet = GatedPoet()
    poet.let(20)
    running = serve(load=load_from(root, {"t5": poet}), index=root, index_poll=0.02)
    old = served(running)
    freed = weakref.ref(running.app.catalog.current().index)
    events = running.stub.ComposePoem(COMPOSE)
    assert next(events).retrieved.index_version == old
    new = publish(root, MARKS[1])
    assert eventually(lambda: served(running) == new)
    assert freed() is not None
    # It is leased as long as it is held, even where nothing else keeps it.
    assert artifact.collect(root, keep=0) == []
    poet.let(100)
    end = list(events)[-1].finished
    assert end.index_version == old
    assert {word.text[0] for word in end.keywords} == {MARKS[0]}

    def is_freed():
        gc.collect()
        return freed() is None

    assert eventually(is_freed)
    assert eventually(lambda: running.app.index.counters.retired == 0)
    assert artifact.collect(root, keep=0) == [old]


def test_a_served_version_is_leased_until_the_server_ends(serve, root):
    running = serve(load=load_from(root), index=root)
    old = served(running)
    publish(root, MARKS[1])
    assert artifact.collect(root, keep=0) == []
    assert running.stub.LookupKeywords(LOOKUP).index_version == old
    running.app.catalog.swap(snapshot())
    assert eventually(lambda: gc.collect() >= 0 and artifact.collect(root, keep=0) == [old])


def foreign(root):
    artifact.publish(root, build(root, MARKS[1], OtherEncoder(dimension=16, name="other")))


def damaged(root):
    version = publish(root, MARKS[1])
    flip_a_bit(max((root / "versions" / version).iterdir(), key=lambda path: path.stat().st_size))


def garbage(root):
    (root / "CURRENT").write_text("nothing of ours\n")


def gone(root):
    (root / "CURRENT").unlink()


@pytest.mark.parametrize(
    ("harm", "reason", "said"),
    [
        (foreign, "foreign_encoder", "built by the encoder"),
        (damaged, "corrupt", "sha"),
        (garbage, "corrupt", "holds no version name"),
        (gone, "missing", "no index is published"),
    ],
)
def test_what_cannot_be_served_is_refused_once_and_said(serve, root, caplog, monkeypatch, harm, reason, said):
    running = serve(load=load_from(root), index=root)
    old = served(running)
    harm(root)
    monkeypatch.setattr(telemetry.log, "propagate", True)
    with caplog.at_level(logging.WARNING, telemetry.log.name):
        for _ in range(5):
            running.run(running.app.index.look())
    counters = running.app.index.counters
    assert served(running) == old
    assert counters.results() == {"swapped": 0, reason: 1}
    assert said in counters.last_refusal.lower()
    # pytest's handlers may stand both at this logger and above it: the same record arrives twice then.
    [record] = {record for record in caplog.records if record.message == "index refused"}
    assert record.fields["reason"] == reason
    assert running.stub.LookupKeywords(LOOKUP).index_version == old

    good = publish(root, MARKS[2])
    running.run(running.app.index.look())
    assert served(running) == good
    assert counters.results() == {"swapped": 1, reason: 1}


def test_a_damaged_version_is_tried_again_later(serve, root, monkeypatch):
    running = serve(load=load_from(root), index=root)
    version = publish(root, MARKS[1])
    file = max((root / "versions" / version).iterdir(), key=lambda path: path.stat().st_size)
    flip_a_bit(file)
    running.run(running.app.index.look())
    flip_a_bit(file)
    running.run(running.app.index.look())
    assert served(running) != version
    monkeypatch.setattr("server.index_watch.time.monotonic", lambda: 10.0**9)
    running.run(running.app.index.look())
    assert served(running) == version


def test_a_defect_in_loading_stops_neither_service_nor_watch(serve, root):
    calls = []

    def load(version, fingerprint):
        calls.append((version, fingerprint))
        if len(calls) == 1:
            raise MemoryError("no room")
        return load_published(FolderSource(root=root), encoder_fingerprint=fingerprint)

    running = serve(load=load_from(root), index=root)

    async def make():
        return IndexWatch(running.app.catalog, published=lambda: artifact.published_version(root), load=load)

    watch = running.run(make())
    publish(root, MARKS[1])
    running.run(watch.look())
    assert watch.counters.results() == {"swapped": 0, "failed": 1}
    version = publish(root, MARKS[2])
    running.run(watch.look())
    assert served(running) == version
    assert calls[1] == (version, FakeEncoder.fingerprint)
    watch.close()


def test_a_server_that_does_not_watch_stays(serve, root):
    running = serve(load=load_from(root), index=root, index_poll=0)
    old = served(running)
    publish(root, MARKS[1])
    assert running.stub.LookupKeywords(LOOKUP).index_version == old


def test_a_watching_server_drains(watching, root):
    version = publish(root, MARKS[1])
    assert eventually(lambda: served(watching) == version)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_threads_of_numpy_spin_beside_those_of_the_models():
    code = "import os, server, numpy as np; np.ones((512, 512)) @ np.ones((512, 512))\n"
    code += "print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ended.stdout == "1\n", ended.stderr
