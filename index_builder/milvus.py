"""A keyword index on Milvus, where one machine is outgrown; the same code speaks to the embedded milvus-lite.

A version of the artifact on disk becomes a collection that never changes, `ALIAS_VERSION`; the alias names
the published one, and moving it is the swap. What the manifest says is kept in one more collection.
Milvus distributes, replicates and searches; here is only the way in and out. Needs the extra `milvus`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index_builder.artifact import EncoderMismatch, IndexMissing, open_version, read_version
from index_builder.index import KeywordIndex, Neighbours, check_query
from models.bundle import CorruptArtifact

if TYPE_CHECKING:
    from pymilvus import MilvusClient

DEFAULT_ALIAS = "keywords"

_FACTS = "image2poem_versions"
_ROWS_AT_ONCE = 2048
_MOST_FOUND = 16_384  # Milvus's own limit of neighbours
_KINDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "flat": ("FLAT", {}),
    "hnsw": ("HNSW", {"links": "M", "construction": "efConstruction"}),
    "ivf_flat": ("IVF_FLAT", {"lists": "nlist"}),
    "ivf_pq": ("IVF_PQ", {"lists": "nlist", "pieces": "m", "bits": "nbits"}),
    "sq8": ("IVF_SQ8", {}),
}
_EFFORTS = {"hnsw": ("search", "ef"), "ivf_flat": ("probe", "nprobe"), "ivf_pq": ("probe", "nprobe")}


class MilvusUnavailable(Exception):
    """pymilvus is not installed, or there is no Milvus at the address."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a Milvus is.

    Attributes:
        uri: `http://HOST:19530`, or a file's path for milvus-lite.
        token: `USER:PASSWORD` or an API key; empty where none is needed.
        alias: name of the published collection.
    """

    uri: str
    token: str = ""
    alias: str = DEFAULT_ALIAS

    def connect(self) -> MilvusClient:
        """A client. Raises MilvusUnavailable."""
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise MilvusUnavailable("pymilvus is not installed; install the extra `milvus`") from error
        return _attempt(self.uri, lambda: MilvusClient(self.uri, token=self.token))


class MilvusIndex(KeywordIndex):
    """The keywords of one collection; it stays with that one also when the alias moves on."""

    def __init__(self, client: MilvusClient, collection: str, facts: Mapping[str, Any]) -> None:
        self.version = facts["version"]
        self.count = facts["count"]
        self.dimension = facts["dimension"]
        self.encoder_fingerprint = facts["encoder"]["fingerprint"]
        self.kind = facts["index"]["kind"]
        self._client = client
        self._collection = collection
        self._shift = np.array(facts["shift"], np.float32) if facts.get("shift") else None
        name, theirs = _EFFORTS.get(self.kind, ("", ""))
        effort = facts["index"]["parameters"].get(name)
        self._effort = {theirs: effort} if effort else {}

    @classmethod
    def open(cls, cluster: Cluster, *, encoder_fingerprint: str | None = None) -> MilvusIndex:
        """Open the collection that the alias names now.

        Raises IndexMissing where it names none, CorruptArtifact where its facts are lost, EncoderMismatch,
        MilvusUnavailable.
        """
        client = cluster.connect()
        collection = _target(client, cluster)
        if collection is None:
            raise IndexMissing(f"{cluster.uri}: the alias {cluster.alias!r} names no collection")
        facts = _facts(client, collection)
        fingerprint = facts["encoder"]["fingerprint"]
        if encoder_fingerprint not in (None, fingerprint):
            raise EncoderMismatch(
                f"{cluster.uri}: {collection} was built by the encoder {facts['encoder']['name']!r} "
                f"({fingerprint[:12]}…), the loaded one is {encoder_fingerprint[:12]}…"
            )
        return cls(client, collection, facts)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        check_query(vectors, k, dimension=self.dimension)
        k = min(k, self.count)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        ids = np.full((len(vectors), k), -1, np.int64)
        for row, hits in enumerate(self._hits(vectors, k, [])):
            scores[row, : len(hits)] = [hit["distance"] for hit in hits]
            ids[row, : len(hits)] = [hit["id"] for hit in hits]
        return scores, ids

    def neighbours(self, vector: np.ndarray, k: int, *, with_vectors: bool = False) -> Neighbours:
        # Words and vectors come with the answer: a request each would cost more than the search.
        query = np.asarray(vector)[np.newaxis]
        check_query(query, k, dimension=self.dimension)
        (hits,) = self._hits(query, min(k, self.count), ["word", "vector"] if with_vectors else ["word"])
        rows = [hit["entity"]["vector"] for hit in hits] if with_vectors else []
        return Neighbours(
            scores=np.array([hit["distance"] for hit in hits], np.float32),
            words=[hit["entity"]["word"] for hit in hits],
            vectors=_unit(np.array(rows, np.float32).reshape(-1, self.dimension)),
        )

    def words(self, ids: Sequence[int]) -> list[str]:
        return [row["word"] for row in self._rows(ids, "word")]

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        rows = [row["vector"] for row in self._rows(ids, "vector")]
        return _unit(np.array(rows, np.float32).reshape(-1, self.dimension))

    def close(self) -> None:
        self._client.close()

    def _hits(self, vectors: np.ndarray, k: int, fields: list[str]) -> list[list[dict[str, Any]]]:
        if not len(vectors):
            return []
        shifted = vectors if self._shift is None else vectors - self._shift
        return self._client.search(
            self._collection,
            list(np.ascontiguousarray(shifted)),
            limit=min(k, _MOST_FOUND),
            output_fields=fields,
            search_params={"metric_type": "IP", "params": self._effort},
        )

    def _rows(self, ids: Sequence[int], field: str) -> list[dict[str, Any]]:
        """One field of some keywords, in the order of `ids`; Milvus has an order of its own."""
        found = self._client.get(self._collection, [int(place) for place in ids], output_fields=[field])
        by_id = {row["id"]: row for row in found}
        return [by_id[place] for place in ids]


def upload(
    root: Path,
    version: str,
    cluster: Cluster,
    *,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Copy a version of the artifact under `root` into a new collection; returns its name. The alias stays.

    A collection of that name, which an upload that ended early may have left, is replaced. Raises as
    `artifact.open_version`, and MilvusUnavailable.
    """
    manifest = read_version(root, version)
    opened = open_version(root, version)
    client = cluster.connect()
    collection = f"{cluster.alias}_{version.replace('-', '_')}"
    if _target(client, cluster) == collection:
        return collection
    _create(client, collection, manifest)
    done = 0
    for rows in _chunks(opened.keywords, opened.stored_rows()):
        client.insert(collection, rows)
        report(done := done + len(rows), opened.count)
    client.flush(collection)
    client.load_collection(collection)
    facts = {name: manifest[name] for name in ("count", "dimension", "encoder", "index")}
    shift = None if opened.shift is None else opened.shift.tolist()
    _keep_facts(client, collection, {**facts, "version": version, "shift": shift})
    return collection


def switch(cluster: Cluster, collection: str) -> None:
    """Let the alias name a collection: whoever opens it from now on gets that one.

    Raises IndexMissing where there is no such collection, CorruptArtifact where its upload did not end,
    MilvusUnavailable.
    """
    client = cluster.connect()
    if not client.has_collection(collection):
        raise IndexMissing(f"{cluster.uri}: there is no collection {collection!r}")
    _facts(client, collection)
    if _target(client, cluster) is None:
        client.create_alias(collection, cluster.alias)
    else:
        client.alter_alias(collection, cluster.alias)


def collections(cluster: Cluster) -> list[str]:
    """The collections of the alias, oldest first. Raises MilvusUnavailable."""
    client = cluster.connect()
    return sorted(name for name in client.list_collections() if name.startswith(f"{cluster.alias}_"))


def prune(cluster: Cluster, *, keep: int) -> list[str]:
    """Drop old collections but the `keep` newest and the one that the alias names; returns what was dropped.

    Milvus knows no leases: keep as many as servers may still be reading. Raises MilvusUnavailable.
    """
    client = cluster.connect()
    others = [name for name in collections(cluster) if name != _target(client, cluster)]
    dropped = others[: max(0, len(others) - keep)]
    for name in dropped:
        client.drop_collection(name)
        client.delete(_FACTS, ids=[name])
    return dropped


def _create(client: MilvusClient, collection: str, manifest: Mapping[str, Any]) -> None:
    from pymilvus import DataType

    if client.has_collection(collection):
        client.drop_collection(collection)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("word", DataType.VARCHAR, max_length=256)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=manifest["dimension"])
    kind, names = _KINDS[manifest["index"]["kind"]]
    ours = manifest["index"]["parameters"]
    parameters = {theirs: ours[name] for name, theirs in names.items()}
    index = client.prepare_index_params()
    index.add_index("vector", index_type=kind, metric_type="IP", params=parameters)
    client.create_collection(collection, schema=schema, index_params=index, consistency_level="Strong")


def _keep_facts(client: MilvusClient, collection: str, facts: Mapping[str, Any]) -> None:
    from pymilvus import DataType

    if not client.has_collection(_FACTS):
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=255)
        schema.add_field("facts", DataType.VARCHAR, max_length=65_535)
        # Milvus wants a vector in every collection.
        schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)
        index = client.prepare_index_params()
        index.add_index("unused", index_type="FLAT", metric_type="IP")
        client.create_collection(_FACTS, schema=schema, index_params=index, consistency_level="Strong")
    row = {"name": collection, "facts": json.dumps(facts, ensure_ascii=False), "unused": [0.0, 0.0]}
    client.upsert(_FACTS, [row])
    client.load_collection(_FACTS)


def _facts(client: MilvusClient, collection: str) -> dict[str, Any]:
    """What was kept of a collection's manifest. Raises CorruptArtifact."""
    found = client.get(_FACTS, [collection], output_fields=["facts"]) if client.has_collection(_FACTS) else []
    if not found:
        raise CorruptArtifact(f"{collection}: Milvus holds no facts of it; upload the version again")
    facts: dict[str, Any] = json.loads(found[0]["facts"])
    return facts


def _target(client: MilvusClient, cluster: Cluster) -> str | None:
    """The collection that the alias names, if any."""
    for name in client.list_collections():
        if name.startswith(f"{cluster.alias}_") and cluster.alias in client.list_aliases(name)["aliases"]:
            return name
    return None


def _chunks(words: Sequence[str], rows: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(words), _ROWS_AT_ONCE):
        ids = range(start, min(start + _ROWS_AT_ONCE, len(words)))
        vectors = np.ascontiguousarray(rows[ids.start : ids.stop], np.float32)
        yield [
            {"id": place, "word": words[place], "vector": vector}
            for place, vector in zip(ids, vectors, strict=True)
        ]


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows without their weights."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), np.float32)


def _attempt(uri: str, call: Callable[[], Any]) -> Any:
    from pymilvus.exceptions import MilvusException

    try:
        return call()
    except (MilvusException, OSError, RuntimeError) as error:
        raise MilvusUnavailable(f"{uri}: no Milvus answers there: {error}") from error
