"""A keyword index on Milvus, where one machine is outgrown; the same code speaks to the embedded milvus-lite.

A version of the artifact on disk becomes a collection that never changes, `ALIAS_VERSION`; the alias names
the published one, and moving it is the swap (`milvus_upload`). What the manifest says is kept in one more
collection. Milvus distributes, replicates and searches; here is only the way out. Needs the extra `milvus`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from index_builder.artifact import EncoderMismatch, IndexMissing
from index_builder.index import KeywordIndex, Neighbours, check_query
from index_builder.milvus_cluster import (
    ANSWER_SECONDS,
    FACTS,
    Cluster,
    MilvusUnavailable,
    answering,
    no_target,
    read_facts,
    target,
)

if TYPE_CHECKING:
    from pymilvus import MilvusClient

T = TypeVar("T")

_MOST_FOUND = 16_384  # Milvus's own limit of neighbours
_EFFORTS = {"hnsw": ("search", "ef"), "ivf_flat": ("probe", "nprobe"), "ivf_pq": ("probe", "nprobe")}
_LOAD_SECONDS = 60.0
_REST_SECONDS = 1.0
_SILENT = "the keyword index does not answer; try again in a moment"


class MilvusIndex(KeywordIndex):
    """The keywords of one collection; it stays with that one also when the alias moves on.

    A Milvus that does not answer is left alone for a second after each try, so that callers who come
    meanwhile hear of it at once. Connecting anew goes by itself.
    """

    local = False

    def __init__(self, client: MilvusClient, collection: str, facts: Mapping[str, Any]) -> None:
        self.version = facts["version"]
        self.count = facts["count"]
        self.dimension = facts["dimension"]
        self.encoder_fingerprint = facts["encoder"]["fingerprint"]
        self.kind = facts["index"]["kind"]
        self._client = client
        self._collection = collection
        self._shift = np.array(facts["shift"], np.float32) if facts.get("shift") else None
        self._silent_until = 0.0
        name, theirs = _EFFORTS.get(self.kind, ("", ""))
        effort = facts["index"]["parameters"].get(name)
        self._effort = {theirs: effort} if effort else {}

    @classmethod
    def open(
        cls, cluster: Cluster, *, version: str | None = None, encoder_fingerprint: str | None = None
    ) -> MilvusIndex:
        """Open the collection of a version; without one, that which the alias names now.

        Raises IndexMissing where there is none, CorruptArtifact where its facts are lost, EncoderMismatch,
        MilvusUnavailable.
        """
        client = cluster.connect()
        with answering(cluster.uri):
            return cls._open(client, cluster, version, encoder_fingerprint)

    @classmethod
    def _open(
        cls, client: MilvusClient, cluster: Cluster, version: str | None, expected: str | None
    ) -> MilvusIndex:
        collection = cluster.collection_of(version) if version else target(client, cluster)
        if collection is None:
            raise no_target(cluster)
        if not client.has_collection(collection, timeout=ANSWER_SECONDS):
            raise IndexMissing(f"{cluster.uri}: there is no collection {collection!r}")
        _load(client, collection, seconds=_LOAD_SECONDS)
        facts = read_facts(client, collection)
        fingerprint = facts["encoder"]["fingerprint"]
        if expected not in (None, fingerprint):
            raise EncoderMismatch(
                f"{cluster.uri}: {collection} was built by the encoder {facts['encoder']['name']!r} "
                f"({fingerprint[:12]}…), the loaded one is {expected[:12] if expected else ''}…"
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
        return self._asked(
            lambda: self._client.search(
                self._collection,
                list(np.ascontiguousarray(shifted)),
                limit=min(k, _MOST_FOUND),
                output_fields=fields,
                search_params={"metric_type": "IP", "params": self._effort},
                timeout=ANSWER_SECONDS,
            )
        )

    def _rows(self, ids: Sequence[int], field: str) -> list[dict[str, Any]]:
        """One field of some keywords, in the order of `ids`; Milvus has an order of its own."""
        places = [int(place) for place in ids]
        found = self._asked(
            lambda: self._client.get(self._collection, places, output_fields=[field], timeout=ANSWER_SECONDS)
        )
        by_id = {row["id"]: row for row in found}
        return [by_id[place] for place in places]

    def _asked(self, call: Callable[[], T]) -> T:
        """What Milvus answers. Raises MilvusUnavailable with words that a service may pass on."""
        if time.monotonic() < self._silent_until:
            raise MilvusUnavailable(_SILENT)
        try:
            with answering(self._collection):
                if self._silent_until:
                    _load(self._client, self._collection, seconds=ANSWER_SECONDS)
                    self._silent_until = 0.0
                return call()
        except MilvusUnavailable as error:
            self._silent_until = time.monotonic() + _REST_SECONDS
            raise MilvusUnavailable(_SILENT) from error


def _load(client: MilvusClient, collection: str, *, seconds: float) -> None:
    """Have it in memory, to be searched. A milvus-lite that was started again has not."""
    for name in (collection, FACTS):
        if client.has_collection(name, timeout=ANSWER_SECONDS):
            client.load_collection(name, timeout=seconds)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows without their weights."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), np.float32)
