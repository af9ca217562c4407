"""What an operator is told of the versions of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from index_builder import artifact
from index_builder.artifact import IndexMissing
from models.bundle import CorruptArtifact


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version as its manifest describes it, or a fault and only its name.

    Attributes:
        parent: the version that was published when it was built, or empty.
        published: whether servers on this folder serve it, or will.
        fault: why the manifest cannot be read; empty where it can.
    """

    name: str
    published: bool
    created: datetime | None = None
    size: int = 0
    kind: str = ""
    recall: float | None = None
    encoder: str = ""
    encoder_fingerprint: str = ""
    parent: str = ""
    fault: str = ""


def all_versions(root: Path) -> list[Version]:
    """Oldest first. Only manifests are read, so that this is quick for indexes of any size."""
    published = published_or_empty(root)
    return [_version(root, name, published) for name in artifact.list_versions(root)]


def version_named(root: Path, name: str) -> Version:
    """One version. Raises IndexMissing where there is none of that name."""
    if name not in artifact.list_versions(root):
        raise IndexMissing(f"there is no version {name!r}")
    return _version(root, name, published_or_empty(root))


def previous_version(root: Path) -> str:
    """The version that was published before the current one and is still kept.

    Raises IndexMissing where there is none, CorruptArtifact.
    """
    try:
        return artifact.previous_version(root)
    except IndexMissing:
        # The builder's words name the folder, which is no caller's business.
        raise IndexMissing("no version that is still kept was published before this one") from None


def published_or_empty(root: Path) -> str:
    """The published version; empty where nothing is, or the pointer is broken."""
    try:
        return artifact.published_version(root)
    except (IndexMissing, CorruptArtifact):
        return ""


def _version(root: Path, name: str, published: str) -> Version:
    try:
        facts = _facts(artifact.read_version(root, name, check_files=False))
    except (CorruptArtifact, IndexMissing) as error:
        facts = {"fault": str(error)}
    return Version(name=name, published=name == published, **facts)


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "created": datetime.fromisoformat(manifest["created"]),
        "size": manifest["count"],
        "kind": manifest["index"]["kind"],
        "recall": manifest.get("recall", {}).get("value"),
        "encoder": manifest["encoder"]["name"],
        "encoder_fingerprint": manifest["encoder"]["fingerprint"],
        "parent": manifest["parent"] or "",
    }
