"""Where a Milvus is, and what stands there: the published alias, its collection, and the facts of that."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from index_builder.artifact import IndexMissing
from index_builder.history import VERSION
from index_builder.index import IndexUnreachable
from models.bundle import CorruptArtifact

if TYPE_CHECKING:
    from pymilvus import MilvusClient

DEFAULT_ALIAS = "keywords"
FACTS = "image2poem_versions"
ANSWER_SECONDS = 3.0

# Milvus's code of an alias that is not there, and milvus-lite's.
_NO_ALIAS = (1600, 100)
# A connection that broke is tried again this often at least; gRPC would come to two minutes. Not every server
# bears pings of one that is idle.
_CHANNEL = {"grpc.max_reconnect_backoff_ms": 1000, "grpc.keepalive_permit_without_calls": 0}


class MilvusUnavailable(IndexUnreachable):
    """pymilvus is not installed, or no Milvus answers at the address."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where a Milvus is.

    Attributes:
        uri: `http://HOST:19530`, or a file's path for milvus-lite.
        token: `USER:PASSWORD` or an API key; empty where none is needed.
        alias: name of the published collection.

    Raises ValueError for a URI that holds a password: it would stand in logs.
    """

    uri: str
    token: str = field(default="", repr=False)
    alias: str = DEFAULT_ALIAS

    def __post_init__(self) -> None:
        if urlsplit(self.uri).username is not None:
            raise ValueError("a Milvus address must hold no user and password; give them as the token")

    def connect(self) -> MilvusClient:
        """A client. Raises MilvusUnavailable."""
        try:
            with _logging_left_alone():
                from pymilvus import MilvusClient
        except ImportError as error:
            raise MilvusUnavailable("pymilvus is not installed; install the extra `milvus`") from error
        with answering(self.uri):
            return MilvusClient(
                self.uri, token=self.token, timeout=ANSWER_SECONDS, grpc_options=dict(_CHANNEL)
            )

    def collection_of(self, version: str) -> str:
        """The name of the collection that a version of the artifact becomes."""
        return f"{self.alias}_{version.replace('-', '_')}"

    def version_of(self, collection: str) -> str | None:
        """The version that a collection is made of; None where it is none of this alias."""
        version = collection.removeprefix(f"{self.alias}_").replace("_", "-")
        ours = VERSION.fullmatch(version) and self.collection_of(version) == collection
        return version if ours else None


def published_version(cluster: Cluster) -> str:
    """The version whose collection the alias names.

    Raises IndexMissing where it names none, CorruptArtifact for a collection that is not one of ours,
    MilvusUnavailable.
    """
    client = cluster.connect()
    with answering(cluster.uri):
        collection = target(client, cluster)
    if collection is None:
        raise no_target(cluster)
    version = cluster.version_of(collection)
    if version is None:
        raise CorruptArtifact(f"{cluster.uri}: {cluster.alias!r} names {collection!r}, which is no version")
    return version


def read_facts(client: MilvusClient, collection: str) -> dict[str, Any]:
    """What was kept of a collection's manifest. Raises CorruptArtifact."""
    kept = client.has_collection(FACTS, timeout=ANSWER_SECONDS)
    found = client.get(FACTS, [collection], output_fields=["facts"], timeout=ANSWER_SECONDS) if kept else []
    if not found:
        raise CorruptArtifact(f"{collection}: Milvus holds no facts of it; upload the version again")
    facts: dict[str, Any] = json.loads(found[0]["facts"])
    return facts


def target(client: MilvusClient, cluster: Cluster) -> str | None:
    """The collection that the alias names, if any."""
    from pymilvus.exceptions import MilvusException

    try:
        found = client.describe_alias(cluster.alias, timeout=ANSWER_SECONDS)
    except MilvusException as error:
        if error.code in _NO_ALIAS:
            return None
        raise
    name: str | None = found.get("collection_name")
    return name


def no_target(cluster: Cluster) -> IndexMissing:
    """What to raise where the alias names nothing."""
    return IndexMissing(
        f"{cluster.uri}: the alias {cluster.alias!r} names no collection; upload a version with "
        "`python -m index_builder milvus`"
    )


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Raises MilvusUnavailable for what Milvus and the network raise inside."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError, OSError, RuntimeError) as error:
        reason = getattr(error, "message", error)
        raise MilvusUnavailable(f"{uri}: no Milvus answers there: {reason}") from error


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """For the import of pymilvus, which configures logging, and so closes all handlers that there are."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure
    # It logs each failure with a traceback, and raises it too.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
