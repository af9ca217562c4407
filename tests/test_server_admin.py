"""IndexAdminService: versions by RPC, and rebuilds that publish or leave all as it was."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest

import image2poem
from fake_encoder import FakeEncoder as OtherEncoder
from fakes import PICTURE, eventually, snapshot
from image2poem import Client, IndexPublished, ListRead, RebuildProgress
from image2poem.v1 import index_admin_service_pb2 as pb
from image2poem.v1 import index_admin_service_pb2_grpc as pb_grpc
from index_builder import artifact
from index_versions import ENCODER, MARKS, build, flip_a_bit, publish, words_of
from models.bundle import open_bundle
from models.clip import Encoder
from server.index_rebuild import Rebuilder
from server.index_source import FolderSource, load_published

TESTS = Path(__file__).resolve().parent
WORKER = (sys.executable, str(TESTS / "fake_rebuild_worker.py"))
LITE = TESTS.parent / "models" / "bundles" / "lite"


@pytest.fixture
def root(tmp_path):
    publish(tmp_path, MARKS[0])
    return tmp_path


@pytest.fixture
def server(serve, root, monkeypatch):
    """A server with the service, which does not watch: only calls change what it serves."""
    monkeypatch.setattr("server.app.Rebuilder", partial(Rebuilder, command=WORKER))

    def load(config):
        return replace(
            snapshot(), index=load_published(FolderSource(root=root), encoder_fingerprint=ENCODER.fingerprint)
        )

    return serve(load=load, index=root, admin=True)


@pytest.fixture
def admin(server):
    with Client(server.target, timeout=20) as client:
        yield client.index_admin


def served(server):
    return server.stub.LookupKeywords(image2poem.v1.poem_service_pb2.LookupKeywordsRequest(picture=PICTURE))


def text_of(*words):
    return "".join(f"{word}\n" for word in words).encode()


def test_it_is_off_unless_asked_for(serve):
    with Client(serve().target) as client, pytest.raises(image2poem.NotOffered):
        client.index_admin.versions()


def test_versions_are_listed_with_what_they_are(admin, root):
    [first] = artifact.list_versions(root)
    second = build(root, MARKS[1], OtherEncoder(dimension=16, name="other"))
    a, b = admin.versions()
    assert (a.name, a.size, a.kind, a.encoder) == (first, 40, "flat", "fake")
    assert (a.published, a.serving, a.parent, a.fault) == (True, True, "", "")
    assert a.encoder_fingerprint == ENCODER.fingerprint
    assert a.recall == 1.0
    assert (b.name, b.encoder, b.parent) == (second, "other", first)
    assert (b.published, b.serving) == (False, False)
    assert a.created <= b.created
    (root / "versions" / second / "manifest.json").write_text("{}")
    assert "manifest" in admin.versions()[1].fault


def test_a_version_is_activated_and_rolled_back(admin, server, root):
    [first] = artifact.list_versions(root)
    second = build(root, MARKS[1])
    change = admin.activate(second)
    assert (change.version.name, change.replaced) == (second, first)
    assert (change.version.serving, change.version.published) == (True, True)
    assert artifact.published_version(root) == served(server).index_version == second
    change = admin.roll_back()
    assert (change.version.name, change.replaced) == (first, second)
    assert artifact.published_version(root) == served(server).index_version == first
    with pytest.raises(image2poem.UnknownIndexVersion):
        admin.roll_back()
    # What is served already is published no second time.
    assert admin.activate(first).replaced == first
    assert artifact.publications(root) == [first]


def test_without_a_name_the_published_version_is_served_at_once(admin, server, root):
    second = publish(root, MARKS[1])
    assert served(server).index_version != second
    assert admin.activate().version.name == second
    assert served(server).index_version == second


@pytest.mark.parametrize("harm", ["unknown", "damaged", "foreign"])
def test_what_cannot_be_served_is_not_published(admin, server, root, harm):
    [first] = artifact.list_versions(root)
    version, kind = "20260101T000000Z-00000000", image2poem.UnknownIndexVersion
    if harm == "damaged":
        version, kind = build(root, MARKS[1]), image2poem.IndexRefused
        flip_a_bit(root / "versions" / version / "vectors.npy")
    elif harm == "foreign":
        other = OtherEncoder(dimension=16, name="other")
        version, kind = build(root, MARKS[1], other), image2poem.IndexRefused
    with pytest.raises(kind):
        admin.activate(version)
    assert artifact.published_version(root) == served(server).index_version == first
    assert sum(server.app.index.counters.refusals.values()) == 1
    # It holds no lease on what it refused.
    assert artifact.collect(root, keep=0) == ([] if harm == "unknown" else [version])


def test_a_rebuild_ends_in_a_published_version(admin, server, root):
    [first] = artifact.list_versions(root)
    words = (*words_of(MARKS[0])[:30], *words_of(MARKS[1]))
    events = list(admin.rebuild(text_of(*words, words[0], "hello", "")))
    read, *progress, end = events
    assert isinstance(read, ListRead)
    assert read.words == 70
    assert read.dropped["duplicate"] == read.dropped["not_chinese"] == 1
    assert all(isinstance(event, RebuildProgress) for event in progress)
    assert (progress[-1].done, progress[-1].total) == (70, 70)
    assert isinstance(end, IndexPublished)
    assert (end.replaced, end.added, end.removed) == (first, 40, 10)
    assert (end.version.size, end.version.published, end.version.serving) == (70, True, True)
    assert artifact.published_version(root) == served(server).index_version == end.version.name


def test_a_table_is_read_by_its_suffix_and_words_are_left_out(admin):
    table = "word,visual\n明月,1\n思念,0\n秋江,1\n孤舟,1\n".encode()
    read, *_, end = admin.rebuild(table, source="list.csv", stop_words=["孤舟"])
    assert (read.words, end.version.size) == (2, 2)
    *_, end = admin.rebuild(table, source="list.csv", all_words=True)
    assert end.version.size == 4


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", image2poem.InvalidKeywordList, "no keyword is left"),
        (b"\xff\xfe", image2poem.InvalidKeywordList, "UTF-8"),
        (text_of("亡"), image2poem.RebuildFailed, "status 7"),
        (text_of("坏"), image2poem.RebuildFailed, "No space left"),
    ],
    ids=["empty", "bytes", "death", "disk"],
)
def test_a_rebuild_that_fails_leaves_all_as_it_was(admin, server, root, data, kind, said):
    [first] = artifact.list_versions(root)
    with pytest.raises(kind, match=said):
        list(admin.rebuild(data))
    assert artifact.list_versions(root) == [first]
    assert served(server).index_version == first


def test_templates_and_kind_reach_the_build(admin, root):
    words = text_of(*words_of(MARKS[1]))
    *_, end = admin.rebuild(words, templates=["一幅有{}的画", "{}"], correction=0.5, kind="hnsw")
    assert end.version.kind == "hnsw"
    embedding = artifact.read_version(root, end.version.name)["embedding"]
    assert embedding["templates"] == ["一幅有{}的画", "{}"]


def test_options_that_no_build_can_keep_are_refused(admin):
    with pytest.raises(image2poem.InvalidOption, match="template"):
        list(admin.rebuild(text_of("明月", "秋江"), templates=["画"]))


def test_one_rebuild_at_a_time_and_leaving_cancels_it(admin, server, root):
    [first] = artifact.list_versions(root)
    slow = text_of(*(f"慢{chr(0x4E00 + place)}{other}" for place in range(1000) for other in "甲乙丙丁戊己"))
    events = admin.rebuild(slow)
    assert isinstance(next(events), ListRead)
    with pytest.raises(image2poem.RebuildRunning):
        list(admin.rebuild(text_of("明月")))
    assert isinstance(next(events), RebuildProgress)
    assert served(server).index_version == first
    events.close()

    def another():
        try:
            return list(admin.rebuild(text_of("明月", "秋江")))
        except image2poem.RebuildRunning:
            return []

    assert eventually(lambda: bool(another()), seconds=20)
    assert len(artifact.list_versions(root)) == 2
    assert not list((root / "versions").glob(".*"))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [pb.RebuildIndexRequest()],
        [pb.RebuildIndexRequest(list=b"x")],
        [pb.RebuildIndexRequest(options=pb.RebuildOptions())] * 2,
    ],
    ids=["nothing", "empty", "list first", "options twice"],
)
def test_a_rebuild_out_of_order_is_refused(server, messages):
    stub = pb_grpc.IndexAdminServiceStub(server.channel)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.RebuildIndex(iter(messages)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert ("image2poem-reason", "INVALID_OPTION") in caught.value.trailing_metadata()


def test_the_real_worker_with_the_shipped_encoder(serve, tmp_path):
    encoder = Encoder.open(open_bundle(LITE, kind="encoder"), provider="cpu")
    artifact.publish(tmp_path, build(tmp_path, MARKS[0], encoder))

    def load(config):
        index = load_published(FolderSource(root=tmp_path), encoder_fingerprint=encoder.fingerprint)
        return replace(snapshot(), index=index, encoder=encoder)

    running = serve(load=load, index=tmp_path, encoder=LITE, admin=True)
    with Client(running.target, timeout=60) as client:
        events = list(client.index_admin.rebuild(text_of("明月", "秋江", "孤舟")))
        assert events[0] == ListRead(words=3, dropped={})
        assert events[-1].version.encoder_fingerprint == encoder.fingerprint
        assert client.lookup_keywords(text="秋江", top_k=1).keywords[0].text == "秋江"
