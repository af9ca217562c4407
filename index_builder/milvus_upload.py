"""From a version on the disk to a collection of a Milvus, and the alias that names the published one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from index_builder.artifact import IndexMissing, open_version, read_version
from index_builder.milvus_cluster import FACTS, Cluster, answering, read_facts, target

if TYPE_CHECKING:
    from pymilvus import MilvusClient

_ROWS_AT_ONCE = 2048
_KINDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "flat": ("FLAT", {}),
    "hnsw": ("HNSW", {"links": "M", "construction": "efConstruction"}),
    "ivf_flat": ("IVF_FLAT", {"lists": "nlist"}),
    "ivf_pq": ("IVF_PQ", {"lists": "nlist", "pieces": "m", "bits": "nbits"}),
    "sq8": ("IVF_SQ8", {}),
}


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
    collection = cluster.collection_of(version)
    with answering(cluster.uri):
        if target(client, cluster) == collection:
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
    with answering(cluster.uri):
        if not client.has_collection(collection):
            raise IndexMissing(f"{cluster.uri}: there is no collection {collection!r}")
        read_facts(client, collection)
        if target(client, cluster) is None:
            client.create_alias(collection, cluster.alias)
        else:
            client.alter_alias(collection, cluster.alias)


def collections(cluster: Cluster) -> list[str]:
    """The collections of the alias, oldest first. Raises MilvusUnavailable."""
    client = cluster.connect()
    with answering(cluster.uri):
        return sorted(name for name in client.list_collections() if cluster.version_of(name))


def prune(cluster: Cluster, *, keep: int) -> list[str]:
    """Drop old collections but the `keep` newest and the one that the alias names; returns what was dropped.

    Milvus knows no leases: keep as many as servers may still be reading. Raises MilvusUnavailable.
    """
    client = cluster.connect()
    with answering(cluster.uri):
        published = target(client, cluster)
        others = [name for name in collections(cluster) if name != published]
        dropped = others[: max(0, len(others) - keep)]
        for name in dropped:
            client.drop_collection(name)
            client.delete(FACTS, ids=[name])
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

    if not client.has_collection(FACTS):
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=255)
        schema.add_field("facts", DataType.VARCHAR, max_length=65_535)
        # Milvus wants a vector in every collection.
        schema.add_field("unused", DataType.FLOAT_VECTOR, dim=2)
        index = client.prepare_index_params()
        index.add_index("unused", index_type="FLAT", metric_type="IP")
        client.create_collection(FACTS, schema=schema, index_params=index, consistency_level="Strong")
    row = {"name": collection, "facts": json.dumps(facts, ensure_ascii=False), "unused": [0.0, 0.0]}
    client.upsert(FACTS, [row])
    client.load_collection(FACTS)


def _chunks(words: Sequence[str], rows: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(words), _ROWS_AT_ONCE):
        ids = range(start, min(start + _ROWS_AT_ONCE, len(words)))
        vectors = np.ascontiguousarray(rows[ids.start : ids.stop], np.float32)
        yield [
            {"id": place, "word": words[place], "vector": vector}
            for place, vector in zip(ids, vectors, strict=True)
        ]
