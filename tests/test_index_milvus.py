"""Milvus: collections per version, the alias as pointer, what goes wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("milvus_lite")

from index_builder import artifact
from index_builder.artifact import EncoderMismatch, IndexMissing
from index_builder.build import IndexKind
from index_builder.milvus import MilvusIndex
from index_builder.milvus_cluster import DEFAULT_ALIAS, Cluster, MilvusUnavailable, published_version
from index_builder.milvus_upload import collections, prune, switch, upload
from models.bundle import CorruptArtifact
from test_index_conformance import ENCODER, VECTORS, WORDS, build

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(uri=str(tmp_path / "milvus.db"))


def test_moving_the_alias_is_the_swap_and_an_open_index_stays(tmp_path: Path, cluster: Cluster) -> None:
    first, second = (upload(tmp_path, build(tmp_path), cluster) for _ in range(2))
    assert collections(cluster) == [first, second]
    switch(cluster, first)
    old = MilvusIndex.open(cluster)
    switch(cluster, second)
    new = MilvusIndex.open(cluster)
    assert [old.version, new.version] == artifact.list_versions(tmp_path)
    assert old.nearest(VECTORS[3], 1)[0].text == new.nearest(VECTORS[3], 1)[0].text == WORDS[3]


def test_pruning_spares_the_published_and_the_newest(tmp_path: Path, cluster: Cluster) -> None:
    made = [upload(tmp_path, build(tmp_path), cluster) for _ in range(4)]
    switch(cluster, made[1])
    assert prune(cluster, keep=1) == [made[0], made[2]]
    assert collections(cluster) == [made[1], made[3]]
    assert MilvusIndex.open(cluster).nearest(VECTORS[0], 1)[0].text == WORDS[0]


def test_collections_of_others_are_left_alone(tmp_path: Path, cluster: Cluster) -> None:
    version = build(tmp_path)
    others = Cluster(uri=cluster.uri, alias="keywords_of_others")
    theirs = upload(tmp_path, version, others)
    switch(cluster, upload(tmp_path, version, cluster))
    assert len(collections(cluster)) == 1
    assert prune(cluster, keep=0) == []
    assert collections(others) == [theirs]
    cluster.connect().alter_alias(theirs, cluster.alias)
    with pytest.raises(CorruptArtifact, match="which is no version"):
        published_version(cluster)


def test_what_is_not_there_is_missing(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="names no collection"):
        MilvusIndex.open(cluster)
    with pytest.raises(IndexMissing, match="no collection"):
        switch(cluster, "keywords_nothing")
    with pytest.raises(IndexMissing):
        upload(tmp_path, "nothing", cluster)


def test_a_foreign_encoder_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    switch(cluster, upload(tmp_path, build(tmp_path), cluster))
    with pytest.raises(EncoderMismatch, match="'fake'"):
        MilvusIndex.open(cluster, encoder_fingerprint="0" * 64)


def test_an_upload_that_ended_early_is_not_published_and_is_replaced(
    tmp_path: Path, cluster: Cluster
) -> None:
    version = build(tmp_path)

    def end(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(tmp_path, version, cluster, report=end)
    (half,) = collections(cluster)
    with pytest.raises(CorruptArtifact, match="upload the version again"):
        switch(cluster, half)
    assert upload(tmp_path, version, cluster) == half
    switch(cluster, half)
    assert MilvusIndex.open(cluster).search(VECTORS[:1], 1)[1].tolist() == [[0]]


@pytest.mark.parametrize("kind", ["hnsw", "ivf_flat", "sq8"])
def test_approximate_kinds_are_searched_with_their_effort(
    tmp_path: Path, cluster: Cluster, kind: str
) -> None:
    from index_builder.build import build_version
    from index_builder.keywords import KeywordList

    words = KeywordList(words=WORDS, dropped={}, source="", sha256="")
    version = build_version(words, ENCODER, root=tmp_path, kind=IndexKind(kind=kind))
    switch(cluster, upload(tmp_path, version, cluster))
    index = MilvusIndex.open(cluster)
    found = index.search(VECTORS[:30], 5)[1]
    assert index.kind == kind
    assert np.mean(found[:, 0] == range(30)) > 0.8


def test_without_pymilvus_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MilvusUnavailable, match="extra `milvus`"):
        cluster.connect()


def test_an_address_without_a_milvus_is_an_error(tmp_path: Path) -> None:
    for uri in (str(tmp_path / "missing" / "folder" / "x.db"), "http://127.0.0.1:9"):
        with pytest.raises(MilvusUnavailable, match="no Milvus answers"):
            Cluster(uri=uri).connect()
    with pytest.raises(ValueError, match="as the token"):
        Cluster(uri="http://user:secret@milvus:19530")
    assert DEFAULT_ALIAS == "keywords"


def test_the_library_leaves_the_programs_logging_alone(tmp_path: Path) -> None:
    code = (
        "import logging, sys\n"
        "class Handler(logging.StreamHandler):\n"
        "    def close(self): sys.exit('closed')\n"
        "logging.getLogger('x').addHandler(handler := Handler())\n"
        "from index_builder.milvus_cluster import Cluster, MilvusUnavailable\n"
        "try: Cluster(uri='http://127.0.0.1:9').connect()\n"
        "except MilvusUnavailable: print('said once')\n"
        "logging._handlerList.clear()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("said once\n", "")
