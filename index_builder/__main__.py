"""The command line: build, publish, list and verify keyword indexes."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from index_builder import artifact
from index_builder.build import DEFAULT_BATCH, InvalidEmbedding, build_version
from index_builder.keywords import InvalidKeywordList, KeywordList, read_keywords
from models.bundle import CorruptArtifact, open_bundle
from models.session import ProviderUnavailable

_FAILURES = (
    artifact.IndexMissing,
    artifact.EncoderMismatch,
    CorruptArtifact,
    InvalidEmbedding,
    InvalidKeywordList,
    ProviderUnavailable,
    OSError,
)
_PLAIN_PROGRESS_SECONDS = 5.0


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


def _build(options: argparse.Namespace) -> None:
    # Here, because the other commands need no ONNX Runtime.
    from models.clip import Encoder

    words = read_keywords(options.keywords, all_words=options.all_words)
    started = time.perf_counter()
    encoder = Encoder.open(open_bundle(options.encoder, kind="encoder"), provider=options.provider)
    with _progress(len(words.words)) as report:
        version = build_version(words, encoder, root=options.root, batch=options.batch, report=report)
    if options.publish:
        artifact.publish(options.root, version)
    _print_built(options, words, version, seconds=time.perf_counter() - started)


def _print_built(options: argparse.Namespace, words: KeywordList, version: str, *, seconds: float) -> None:
    manifest = artifact.read_version(options.root, version)
    if options.json:
        print(json.dumps({"version": version, "published": options.publish, **manifest}, ensure_ascii=False))
        return
    dropped = ", ".join(f"{reason} {count}" for reason, count in words.dropped.items()) or "none"
    print(f"{words.source}: {len(words.words)} keywords; dropped: {dropped}")
    recall, kind = manifest["recall"], manifest["index"]["kind"]
    print(f"{version}: {kind}, {manifest['dimension']} dimensions, recall@{recall['k']} {recall['value']}")
    print(f"built in {seconds:.1f} s" + (", published" if options.publish else ", not published"))


def _publish(options: argparse.Namespace) -> None:
    version = options.version or _all_versions(options.root)[-1]
    artifact.publish(options.root, version)
    print(json.dumps({"version": version, "published": True}) if options.json else f"{version} is published")


def _list(options: argparse.Namespace) -> None:
    published = _published(options.root)
    for version in artifact.list_versions(options.root):
        row = {"version": version, "published": version == published, **_summary(options.root, version)}
        print(json.dumps(row, ensure_ascii=False) if options.json else _line(row))


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
    """One version, or all of them and the pointer."""
    versions = [options.version] if options.version else _all_versions(options.root)
    if not options.version:
        _published(options.root)
    for version in versions:
        manifest = artifact.verify(options.root, version)
        row = {"version": version, "ok": True, "count": manifest["count"]}
        print(json.dumps(row) if options.json else f"{version}: whole, {manifest['count']} keywords")


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


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; elsewhere a plain line on stderr every few seconds and at the end."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit="word", file=sys.stderr) as bar:
            yield lambda done, total: _advance(bar, done)
        return
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= _PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            print(f"embedded {done} of {total}", file=sys.stderr)

    yield report


def _advance(bar: tqdm[Any], done: int) -> None:
    bar.update(done - bar.n)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m index_builder", description="Build, publish, list and verify keyword indexes."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = _command(commands, "build", _build, "embed a keyword list and write a new version")
    build.add_argument(
        "--keywords", type=Path, required=True, metavar="FILE", help="text, a word a line; or .tsv, .csv"
    )
    build.add_argument("--encoder", type=Path, required=True, metavar="BUNDLE", help="the encoder's folder")
    build.add_argument("--publish", action="store_true", help="publish the new version at once")
    build.add_argument("--batch", type=_positive, default=DEFAULT_BATCH, metavar="N", help="words per call")
    build.add_argument("--all-words", action="store_true", help="keep words that are marked as not visual")
    build.add_argument("--provider", choices=("cpu", "cuda"), default="cpu", help="where the encoder runs")
    publish = _command(commands, "publish", _publish, "make a version the published one")
    publish.add_argument("version", nargs="?", metavar="VERSION", help="the latest, where none is given")
    _command(commands, "list", _list, "list all versions; * marks the published one")
    verify = _command(commands, "verify", _verify, "check versions byte by byte")
    verify.add_argument("version", nargs="?", metavar="VERSION", help="all of them, where none is given")
    return parser


def _command(commands: Any, name: str, run: Callable[..., None], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize())
    parser.add_argument(
        "--index", "--out", dest="root", type=Path, required=True, metavar="DIR", help="the index folder"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
