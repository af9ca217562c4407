"""A server whose index is in Milvus: it follows the alias, and bears that Milvus goes away for a time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

pytest.importorskip("milvus_lite")

from grpc_health.v1 import health_pb2, health_pb2_grpc

from fake_encoder import FakeEncoder as OtherEncoder
from fakes import PICTURE, eventually, snapshot
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from index_builder import artifact, milvus, milvus_cluster
from index_builder.artifact import EncoderMismatch, IndexMissing
from index_builder.index import IndexUnreachable
from index_builder.milvus_cluster import Cluster
from index_builder.milvus_upload import switch, upload
from index_versions import ENCODER, MARKS, build
from server.config import Config, parse
from server.index_source import MilvusSource, index_source, load_published
from server.reloading import UnusableFile
from server.service import SERVICE_NAME
from serving import reason_of

LOOKUP = pb.LookupKeywordsRequest(picture=PICTURE)
BY_VECTOR = pb.LookupKeywordsRequest(vector=pb.Vector(values=[1.0] + [0.0] * 15))
WORDS = pb.ComposePoemRequest(
    keywords=pb.KeywordList(words=["明月"]), form=poem_pb2.FORM_QIJUE, line_choices=1
)
ROOT = Path(__file__).resolve().parent.parent


class Milvus:
    """milvus-lite on a port of its own, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._port = 0
        self.start()

    def start(self) -> None:
        from milvus_lite.adapter.grpc.server import start_server_in_thread

        self._server, self._database, self._port = start_server_in_thread(
            self._folder, host="127.0.0.1", port=self._port
        )

    def stop(self) -> None:
        self._server.stop(grace=0).wait()
        self._database.close()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"


@pytest.fixture
def lite(tmp_path):
    running = Milvus(tmp_path / "milvus")
    yield running
    running.stop()


@pytest.fixture
def publish(tmp_path, lite):
    """Publishes the words of a mark in the Milvus, from another client than the server's."""

    def publish(mark: str, encoder: Any = ENCODER) -> str:
        version = build(tmp_path, mark, encoder)
        cluster = Cluster(uri=lite.uri)
        switch(cluster, upload(tmp_path, version, cluster))
        return version

    return publish


def loaded(config: Config):
    """What the server opens its snapshot with: fakes, and the index that its options name."""
    index = load_published(index_source(config), encoder_fingerprint=ENCODER.fingerprint)
    return replace(snapshot(), index=index)


def health(running, service=SERVICE_NAME):
    stub = health_pb2_grpc.HealthStub(running.channel)
    status = stub.Check(health_pb2.HealthCheckRequest(service=service)).status
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


def shorten(monkeypatch):
    """Wait less for a Milvus that is silent."""
    for module in (milvus, milvus_cluster):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)


def marks(reply):
    return {keyword.text[0] for keyword in reply.keywords}


def test_it_serves_what_the_alias_names_and_swaps_when_that_moves(serve, lite, publish):
    first = publish(MARKS[0])
    running = serve(load=loaded, milvus=lite.uri, index_poll=0.05)
    reply = running.stub.LookupKeywords(LOOKUP)
    assert (reply.index_version, marks(reply)) == (first, {MARKS[0]})
    assert running.stub.GetServerInfo(pb.GetServerInfoRequest()).index.version == first
    second = publish(MARKS[1])
    assert eventually(lambda: running.stub.LookupKeywords(LOOKUP).index_version == second)
    assert marks(running.stub.LookupKeywords(LOOKUP)) == {MARKS[1]}
    info = running.stub.GetServerInfo(pb.GetServerInfoRequest()).index
    assert (info.version, info.size, info.kind) == (second, 40, "flat")
    assert running.app.index.counters.results() == {"swapped": 1}


def test_no_search_in_it_blocks_the_event_loop(serve, lite, publish, monkeypatch):
    publish(MARKS[0])
    running = serve(load=loaded, milvus=lite.uri)
    threads = set()
    nearest = milvus.MilvusIndex.nearest

    def watched(self, vector, k):
        import threading

        threads.add(threading.current_thread().name)
        return nearest(self, vector, k)

    monkeypatch.setattr(milvus.MilvusIndex, "nearest", watched)
    for request in (LOOKUP, BY_VECTOR):
        running.stub.LookupKeywords(request)
    assert all(name.startswith("lookups") for name in threads)


def test_one_that_goes_away_is_told_to_callers_and_found_again(serve, lite, publish, monkeypatch):
    shorten(monkeypatch)
    version = publish(MARKS[0])
    running = serve(load=loaded, milvus=lite.uri, index_poll=0.1)
    lite.stop()
    assert eventually(lambda: health(running) == "NOT_SERVING")
    # A fresh process would reach it no better, so that no supervisor shall end this one.
    assert health(running, "") == "SERVING"
    with pytest.raises(grpc.RpcError) as caught:
        running.stub.LookupKeywords(LOOKUP)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "UNHEALTHY")
    assert caught.value.details() == "the keyword index does not answer; try again in a moment"
    assert [*running.stub.ComposePoem(WORDS)][-1].finished.poem
    assert running.app.index.counters.results() == {"swapped": 0, "unreachable": 1}
    lite.start()
    assert eventually(lambda: health(running) == "SERVING")
    assert eventually(lambda: _version(running) == version)


def _version(running):
    try:
        return running.stub.LookupKeywords(LOOKUP).index_version
    except grpc.RpcError:
        return None


def test_while_it_is_silent_callers_hear_so_at_once(tmp_path, lite, publish, monkeypatch):
    publish(MARKS[0])
    index = MilvusSource(uri=lite.uri, alias="keywords").load(
        artifact.list_versions(tmp_path)[-1], ENCODER.fingerprint
    )
    shorten(monkeypatch)
    query = ENCODER.encode_texts(["秋"])[0]
    lite.stop()
    asked = []
    search = index._client.search
    monkeypatch.setattr(index._client, "search", lambda *a, **k: asked.append(1) or search(*a, **k))
    for _ in range(5):
        with pytest.raises(IndexUnreachable, match="does not answer"):
            index.nearest(query, 3)
    assert len(asked) == 1
    lite.start()
    monkeypatch.setattr(index, "_silent_until", 0.0)
    assert eventually(lambda: _found(index, query))


def _found(index, query):
    try:
        return index.nearest(query, 3)
    except IndexUnreachable:
        return None


def test_what_it_cannot_serve_is_refused_and_the_old_one_stays(serve, lite, publish):
    first = publish(MARKS[0])
    running = serve(load=loaded, milvus=lite.uri)
    publish(MARKS[1], OtherEncoder(dimension=16, name="other"))
    running.run(running.app.index.look())
    assert running.app.index.counters.results() == {"swapped": 0, "foreign_encoder": 1}
    assert running.stub.LookupKeywords(LOOKUP).index_version == first
    assert health(running) == "SERVING"


def test_nothing_to_begin_with_is_said(lite, publish):
    source = MilvusSource(uri=lite.uri, alias="keywords")
    with pytest.raises(IndexMissing, match="index_builder milvus"):
        load_published(source, encoder_fingerprint=ENCODER.fingerprint)
    publish(MARKS[0])
    with pytest.raises(EncoderMismatch, match="built by the encoder"):
        load_published(source, encoder_fingerprint="0" * 64)
    with pytest.raises(UnusableFile, match="milvus_token_file"):
        MilvusSource(uri=lite.uri, alias="keywords", token_file=Path("nowhere")).published()


def test_without_a_milvus_at_the_address_there_is_no_server():
    options = ["--milvus", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"]
    ended = subprocess.run(
        [sys.executable, "-m", "server", *options], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    [complaint] = [line for line in ended.stderr.splitlines() if line.startswith("server: ")]
    assert "http://127.0.0.1:9: no Milvus answers there" in complaint
    assert "Traceback" not in ended.stderr


def test_the_token_comes_from_the_environment_or_a_file_and_is_never_shown(tmp_path, capsys):
    environment = {"IMAGE2POEM_MILVUS_TOKEN": "user:geheim", "IMAGE2POEM_MILVUS": "http://milvus:19530"}
    config = parse([], environment)
    source = index_source(config)
    assert source._cluster().token == "user:geheim"
    for shown in (config.described(), config, source, source._cluster()):
        assert "geheim" not in repr(shown)
    file = tmp_path / "token"
    file.write_text("user:other\n", encoding="utf-8")
    given = index_source(Config(milvus="http://milvus:19530", milvus_token_file=file))
    assert given._cluster().token == "user:other"
    for arguments in (
        ["--milvus-token", "x"],
        ["--milvus", "http://a:b@milvus:19530"],
        ["--milvus", "milvus"],
    ):
        with pytest.raises(SystemExit):
            parse(arguments, {})
    assert "give them as the token" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [{"admin": True}, {"milvus_token": "a:b", "milvus_token_file": Path("x")}]
)
def test_options_that_do_not_go_together(options):
    with pytest.raises(ValueError, match=r"admin: works on an index folder|give one of them"):
        Config(milvus="http://milvus:19530", **options)
