"""Where the server's index is published: in a folder, or in a Milvus. Everything here blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from index_builder.artifact import IndexMissing, published_version
from index_builder.index import KeywordIndex
from index_builder.milvus import MilvusIndex
from index_builder.milvus_cluster import Cluster
from index_builder.milvus_cluster import published_version as published_in_milvus
from server.config import Config
from server.index_loading import load_version, warm_index
from server.reloading import UnusableFile


class IndexSource(Protocol):
    """Publications of the index, as the server follows them."""

    def published(self) -> str:
        """The published version. Raises IndexMissing; IndexUnreachable where it is on another machine."""

    def load(self, version: str, encoder_fingerprint: str) -> KeywordIndex:
        """A version for the encoder of that fingerprint, checked and searched a few times.

        Raises IndexMissing, CorruptArtifact, EncoderMismatch, and what else the source may.
        """


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Versions on a disk.

    Attributes:
        root: the index folder.
        device: `cpu` or `cuda`; small indexes stay on the CPU in any case.
    """

    root: Path
    device: str = "cpu"

    def published(self) -> str:
        return published_version(self.root)

    def load(self, version: str, encoder_fingerprint: str) -> KeywordIndex:
        return load_version(self.root, version, encoder_fingerprint, device=self.device)


@dataclass(frozen=True, kw_only=True)
class MilvusSource:
    """The collections of an alias.

    Attributes:
        uri, alias: as of `index_builder.milvus.Cluster`.
        token: for a Milvus that asks for one.
        token_file: holds the token instead; read again each time, so that it may be renewed.
    """

    uri: str
    alias: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None

    def published(self) -> str:
        return published_in_milvus(self._cluster())

    def load(self, version: str, encoder_fingerprint: str) -> KeywordIndex:
        index = MilvusIndex.open(self._cluster(), version=version, encoder_fingerprint=encoder_fingerprint)
        warm_index(index)
        return index

    def _cluster(self) -> Cluster:
        """Raises UnusableFile."""
        token = self.token
        if self.token_file is not None:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UnusableFile(f"milvus_token_file: {error}") from error
        return Cluster(uri=self.uri, token=token, alias=self.alias)


def index_source(config: Config) -> IndexSource:
    """The source that the options name."""
    if config.milvus is None:
        return FolderSource(root=config.index, device=config.provider)
    return MilvusSource(
        uri=config.milvus,
        alias=config.milvus_alias,
        token=config.milvus_token,
        token_file=config.milvus_token_file,
    )


def load_published(source: IndexSource, *, encoder_fingerprint: str, advice: str = "") -> KeywordIndex:
    """The published version, ready to serve. Raises as `IndexSource`; IndexMissing with the advice."""
    try:
        return source.load(source.published(), encoder_fingerprint)
    except IndexMissing as error:
        raise IndexMissing(f"{error}; {advice}" if advice else str(error)) from error
