"""`image2poem admin`: versions of a server's keyword index, for operators."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from image2poem._admin import IndexChange, IndexPublished, IndexVersion, ListRead, RebuildProgress
from image2poem._cli.command import Commands, add_command, connect

_PLAIN_SECONDS = 5.0


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    text = "list, activate, roll back or rebuild versions of the server's index"
    admin = commands.add_parser("admin", help=text, description=f"{text.capitalize()}.")
    actions = admin.add_subparsers(required=True, metavar="ACTION")
    add_command(actions, "list", _list, "list all versions; * is served, + only published")
    activate = add_command(actions, "activate", _activate, "publish and serve a version")
    activate.add_argument(
        "version", nargs="?", default="", metavar="VERSION", help="the published one, where none is given"
    )
    add_command(actions, "rollback", _roll_back, "publish and serve the version before")
    _add_rebuild(actions)


def _add_rebuild(actions: Commands[argparse.ArgumentParser]) -> None:
    text = "build, publish and serve a version of a keyword list"
    rebuild = add_command(actions, "rebuild", _rebuild, text)
    rebuild.add_argument("list", type=Path, metavar="FILE", help="a .txt, .csv, .tsv or .jsonl list, UTF-8")
    rebuild.add_argument("--all-words", action="store_true", help="keep words that are marked as not visual")
    rebuild.add_argument("--simplified", action="store_true", help="write words in simplified characters")
    rebuild.add_argument("--stop-words", type=Path, metavar="FILE", help="words to leave out, one a line")
    rebuild.add_argument(
        "--subject",
        dest="subjects",
        action="append",
        default=[],
        metavar="TAG",
        help="keep only words so tagged",
    )
    rebuild.add_argument(
        "--template",
        dest="templates",
        action="append",
        default=[],
        metavar="一幅有{}的画",
        help="embed words in this sentence; may be repeated",
    )
    rebuild.add_argument(
        "--correction",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="take off so much of mean similarity (0)",
    )
    rebuild.add_argument(
        "--kind", default="", help="flat, hnsw, ivf_flat, ivf_pq or sq8; else chosen by size"
    )
    # A build takes as long as it takes.
    rebuild.set_defaults(timeout=None)


def _list(options: argparse.Namespace) -> None:
    with connect(options) as client:
        for version in client.index_admin.versions():
            print(_json(version) if options.json else _line(version))


def _activate(options: argparse.Namespace) -> None:
    with connect(options) as client:
        _say_change(client.index_admin.activate(options.version), options)


def _roll_back(options: argparse.Namespace) -> None:
    with connect(options) as client:
        _say_change(client.index_admin.roll_back(), options)


def _rebuild(options: argparse.Namespace) -> None:
    stop_words = options.stop_words.read_text(encoding="utf-8").split() if options.stop_words else ()
    report = _RebuildReport(options.json)
    with connect(options) as client:
        for event in client.index_admin.rebuild(
            options.list.read_bytes(),
            source=options.list.name,
            all_words=options.all_words,
            stop_words=stop_words,
            simplified=options.simplified,
            subjects=options.subjects,
            templates=options.templates,
            correction=options.correction,
            kind=options.kind,
            timeout=options.timeout,
        ):
            report.event(event)


class _RebuildReport:
    """Events as JSON, or a line on stderr that counts and a line on stdout at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._overwrites = sys.stderr.isatty()
        self._due = 0.0

    def event(self, event: ListRead | RebuildProgress | IndexPublished) -> None:
        if self._as_json:
            print(_json(event, event=type(event).__name__.lower()), flush=True)
            return
        match event:
            case ListRead():
                dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(event.dropped.items()))
                print(f"{event.words} keywords; dropped: {dropped or 'none'}", flush=True)
            case RebuildProgress():
                self._progress(event)
            case IndexPublished():
                self._clear()
                version = event.version
                print(f"{version.name} is published and served: {version.size} keywords,", end=" ")
                print(f"{event.added} added and {event.removed} removed against {event.replaced}")

    def _progress(self, event: RebuildProgress) -> None:
        line = f"embedded {event.done} of {event.total}"
        if event.words_per_second:
            line += f", {event.words_per_second:.0f} words/s, {_duration(event.seconds_left)} left"
        if self._overwrites:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif event.done == event.total or time.monotonic() >= self._due:
            self._due = time.monotonic() + _PLAIN_SECONDS
            print(line, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._overwrites:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _say_change(change: IndexChange, options: argparse.Namespace) -> None:
    if options.json:
        print(_json(change))
    elif change.replaced == change.version.name:
        print(f"{change.version.name} is published, and was served already")
    else:
        print(f"{change.version.name} is published and served, instead of {change.replaced}")


def _line(version: IndexVersion) -> str:
    mark = "*" if version.serving else "+" if version.published else " "
    if version.fault:
        return f"{mark} {version.name}  damaged: {version.fault}"
    recall = f", recall {version.recall:g}" if version.recall is not None else ""
    return (
        f"{mark} {version.name}  {version.size} keywords, {version.kind}, encoder {version.encoder}{recall}"
    )


def _json(value: Any, **more: str) -> str:
    return json.dumps({**more, **asdict(value)}, ensure_ascii=False, default=str)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
