"""The command line: build, publish, compare, roll back, verify and collect keyword indexes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from index_builder import artifact
from index_builder.building import build, check_list
from index_builder.device import DeviceUnavailable
from index_builder.embedding import InvalidEmbedding
from index_builder.milvus_cluster import DEFAULT_ALIAS, Cluster, MilvusUnavailable
from index_builder.milvus_upload import prune, switch, upload
from index_builder.options import (
    add_build_options,
    add_command,
    add_list_options,
    add_min_recall,
    whole,
)
from index_builder.progress import progress
from models.bundle import CorruptArtifact
from models.session import ProviderUnavailable

# ValueError: an impossible combination of options, an unreadable list or picture.
_FAILURES = (
    artifact.IndexMissing,
    artifact.EncoderMismatch,
    artifact.RecallTooLow,
    BrokenProcessPool,
    CorruptArtifact,
    DeviceUnavailable,
    InvalidEmbedding,
    MilvusUnavailable,
    ProviderUnavailable,
    ValueError,
    OSError,
)
_KEEP = 3
_TOKEN = "IMAGE2POEM_MILVUS_TOKEN"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 1 with one line on stderr; wrong usage exits with 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except _FAILURES as error:
        print(f"index_builder: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("index_builder: interrupted", file=sys.stderr)
        return 1
    return 0


def _publish(options: argparse.Namespace) -> None:
    version = options.version or _all_versions(options.root)[-1]
    artifact.publish(options.root, version, min_recall=options.min_recall)
    _say(options, {"version": version, "published": True}, f"{version} is published")


def _rollback(options: argparse.Namespace) -> None:
    version = artifact.rollback(options.root)
    _say(options, {"version": version, "published": True}, f"{version} is published again")


def _list(options: argparse.Namespace) -> None:
    published = _published(options.root)
    for version in artifact.list_versions(options.root):
        row = {"version": version, "published": version == published, **_summary(options.root, version)}
        _say(options, row, _line(row))


def _summary(root: Path, version: str) -> dict[str, Any]:
    """What `list` says of a version; a broken one is listed too."""
    try:
        manifest = artifact.read_version(root, version)
    except CorruptArtifact as error:
        return {"fault": str(error)}
    return {
        "count": manifest["count"],
        "kind": manifest["index"]["kind"],
        "encoder": manifest["encoder"]["name"],
        "recall": manifest.get("recall", {}).get("value"),
    }


def _line(row: dict[str, Any]) -> str:
    text = "{count} keywords, {kind}, encoder {encoder}, recall {recall}"
    if "fault" in row:
        text = "corrupt: {fault}"
    return f"{'*' if row['published'] else ' '} {row['version']} {text.format_map(row)}"


def _verify(options: argparse.Namespace) -> None:
    """One version, or all of them, the pointer and the history."""
    versions = [options.version] if options.version else _all_versions(options.root)
    if not options.version:
        _published(options.root)
        artifact.publications(options.root)
    for version in versions:
        manifest = artifact.verify(options.root, version)
        row = {"version": version, "ok": True, "count": manifest["count"]}
        _say(options, row, f"{version}: whole, {manifest['count']} keywords")


def _diff(options: argparse.Namespace) -> None:
    """Lines as of a patch: + added, - removed."""
    new = options.new or artifact.published_version(options.root)
    found = artifact.diff(options.root, options.old, new)
    lines = [f"-{word}" for word in found.removed] + [f"+{word}" for word in found.added]
    row = {"old": options.old, "new": new, "added": found.added, "removed": found.removed}
    _say(options, row, "\n".join([f"{len(found.added)} added, {len(found.removed)} removed", *lines]))


def _collect(options: argparse.Namespace) -> None:
    removed = artifact.collect(options.root, keep=options.keep)
    _say(
        options,
        {"removed": removed},
        "\n".join(f"removed {version}" for version in removed) or "nothing to remove",
    )


def _upload(options: argparse.Namespace) -> None:
    version = options.version or artifact.published_version(options.root)
    token = os.environ.get(_TOKEN, "")
    if options.token_file:
        token = options.token_file.read_text(encoding="utf-8").strip()
    cluster = Cluster(uri=options.uri, token=token, alias=options.alias)
    manifest = artifact.read_version(options.root, version, check_files=False)
    with progress(manifest["count"], verb="uploaded") as report:
        collection = upload(options.root, version, cluster, report=report)
    switch(cluster, collection)
    dropped = prune(cluster, keep=options.keep)
    row = {"version": version, "collection": collection, "alias": options.alias, "dropped": dropped}
    _say(options, row, f"{options.alias} names {collection}; dropped {len(dropped)}")


def _say(options: argparse.Namespace, row: dict[str, Any], text: str) -> None:
    print(json.dumps(row, ensure_ascii=False) if options.json else text)


def _published(root: Path) -> str | None:
    """The published version, or None where nothing is. Raises CorruptArtifact."""
    try:
        return artifact.published_version(root)
    except artifact.IndexMissing:
        return None


def _all_versions(root: Path) -> list[str]:
    versions = artifact.list_versions(root)
    if not versions:
        raise artifact.IndexMissing(f"{root}: no index versions here; build one first")
    return versions


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index_builder", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = add_command(commands, "build", build, "embed a keyword list and write a new version")
    add_list_options(command)
    add_build_options(command)
    command = add_command(
        commands, "keywords", check_list, "read a list and say what is dropped", index=False
    )
    add_list_options(command)
    command = add_command(commands, "publish", _publish, "make a version the published one")
    command.add_argument("version", nargs="?", metavar="VERSION", help="the latest, where none is given")
    add_min_recall(command)
    add_command(commands, "rollback", _rollback, "publish what was published before the current version")
    add_command(commands, "list", _list, "list all versions; * marks the published one")
    command = add_command(commands, "verify", _verify, "check versions byte by byte")
    command.add_argument("version", nargs="?", metavar="VERSION", help="all of them, where none is given")
    command = add_command(commands, "diff", _diff, "show the words that a version added and removed")
    command.add_argument("old", metavar="OLD")
    command.add_argument("new", nargs="?", metavar="NEW", help="the published version, where none is given")
    command = add_command(commands, "gc", _collect, "remove old versions that nobody uses")
    command.add_argument(
        "--keep",
        type=whole,
        default=_KEEP,
        metavar="N",
        help=f"keep the N newest others too ({_KEEP} by default)",
    )
    command = add_command(commands, "milvus", _upload, "copy a version into Milvus and let the alias name it")
    command.add_argument("version", nargs="?", metavar="VERSION", help="the published one by default")
    command.add_argument("--uri", required=True, help=f"of the Milvus; the token is read from {_TOKEN}")
    command.add_argument("--token-file", type=Path, metavar="FILE", help=f"the token, instead of {_TOKEN}")
    command.add_argument("--alias", default=DEFAULT_ALIAS, help=f"{DEFAULT_ALIAS} by default")
    command.add_argument(
        "--keep",
        type=whole,
        default=_KEEP,
        metavar="N",
        help=f"older collections to keep ({_KEEP} by default)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
