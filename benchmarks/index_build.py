"""Building: a list that grew by a tenth against a full rebuild; a million vectors; Milvus beside FAISS."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.process import ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from index_builder import artifact
from index_builder.build import IndexKind, build_version
from index_builder.embedding import TextEncoder
from index_builder.keywords import KeywordList, read_keywords
from models.bundle import open_bundle
from models.clip import Encoder

_OLD, _NEW = 6_800, 7_480
_MILLION = 1_000_000


def rebuild_increment_lite() -> Result:
    """6,800 words and a tenth more, with the encoder that is shipped."""
    return _increment(Encoder.open(open_bundle(ROOT / "models" / "bundles" / "lite", kind="encoder")))


def rebuild_increment() -> Result:
    """6,800 words and a tenth more, with a text tower of Chinese-CLIP's size (ViT-B/16, random weights)."""
    from benchmarks.clip import _encoder

    return _increment(_encoder("fp32"))


def _increment(encoder: TextEncoder) -> Result:
    """Seconds to rebuild after 680 new words, against building all 7,480; the files are equal."""
    words = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv", all_words=True).words[:_NEW]
    with tempfile.TemporaryDirectory(prefix="image2poem-increment-") as folder:
        grown, whole = Path(folder) / "grown", Path(folder) / "whole"
        build_version(_list(words[:_OLD]), encoder, root=grown)
        few, first = _seconds(lambda: build_version(_list(words), encoder, root=grown))
        all_, second = _seconds(lambda: build_version(_list(words), encoder, root=whole))
        files = [artifact.verify(root, name)["files"] for root, name in ((grown, first), (whole, second))]
    assert files[0] == files[1], "a rebuild from the cache gave other files"
    print(
        f"  full {all_:.2f} s, with the cache {few:.2f} s: {few / all_:.1%}; the files are equal", flush=True
    )
    return Result(value=few, unit="s", ratio=all_ / few, against=f"a full rebuild of {len(words)} words")


def index_million() -> Result:
    """A million clustered vectors of 512 dimensions: built, opened, and asked as the server asks."""
    with tempfile.TemporaryDirectory(prefix="image2poem-million-") as folder:
        command = [sys.executable, "-m", "benchmarks.index_scale", "--folder", folder, str(_MILLION)]
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print(
        f"  {row['kind']} {row['parameters']}: recall@10 {row['recall']:.3f}, p50 {row['p50_ms']:.2f} ms, "
        f"exact {row['exact_p50_ms']:.0f} ms; built in {row['build_seconds']:.0f} s with at most "
        f"{row['build_peak_mib']:.0f} MiB; serving takes {row['memory_mib']:.0f} MiB beside the mapped file "
        f"of {row['index_mib']:.0f} MiB",
        flush=True,
    )
    assert row["recall"] >= 0.95
    ratio = row["exact_p50_ms"] / row["p50_ms"]
    return Result(value=row["p50_ms"], unit="ms", ratio=ratio, against="exact search on one core")


def index_milvus() -> Result:
    """6,808 vectors of 512 dimensions in milvus-lite on the same machine, and FAISS in this process."""
    from benchmarks.clustered import Clustered
    from index_builder.milvus import MilvusIndex
    from index_builder.milvus_cluster import Cluster
    from index_builder.milvus_upload import switch, upload

    rows = Clustered().rows(6_808, part=1)
    queries = Clustered().queries(50)
    with tempfile.TemporaryDirectory(prefix="image2poem-milvus-") as folder:
        root, cluster = Path(folder), Cluster(uri=f"{folder}/milvus.db")
        version = build_version(
            _list(_numbered(len(rows))), _Given(rows), root=root, kind=IndexKind(kind="flat")
        )
        seconds, collection = _seconds(lambda: upload(root, version, cluster))
        switch(cluster, collection)
        ours, theirs = artifact.open_version(root, version), MilvusIndex.open(cluster)
        print(f"  uploaded in {seconds:.1f} s", flush=True)
        for query in queries:
            assert [k.text for k in ours.nearest(query, 8)] == [k.text for k in theirs.nearest(query, 8)]
        asked = iter(np.tile(queries, (100, 1)))
        quick = describe("FAISS", timed(lambda: ours.nearest(next(asked), 8), repeat=300))
        slow = describe("Milvus", timed(lambda: theirs.nearest(next(asked), 8), repeat=300))
        theirs.close()
    return Result(value=quick, unit="ms", ratio=slow / quick, against="milvus-lite on the same machine")


class _Given:
    """An encoder whose n-th numbered word has the n-th of some rows."""

    name, fingerprint = "given", "0" * 64

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.dimension = rows.shape[1]

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return self._rows[[_number(text) % len(self._rows) for text in texts]]


def _numbered(count: int) -> list[str]:
    """Words of two Chinese characters."""
    return [chr(0x4E00 + place // 100) + chr(0x5E00 + place % 100) for place in range(count)]


def _number(word: str) -> int:
    return 100 * (ord(word[0]) - 0x4E00) + ord(word[1]) - 0x5E00


def _list(words: tuple[str, ...] | list[str]) -> KeywordList:
    return KeywordList(words=tuple(words), dropped={}, source="benchmark", sha256="")


def _seconds(call: Callable[[], str]) -> tuple[float, str]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


BENCHMARKS: dict[str, Benchmark] = {
    "rebuild-increment": rebuild_increment,
    "rebuild-increment-lite": rebuild_increment_lite,
    "index-million": index_million,
    "index-milvus": index_milvus,
}
