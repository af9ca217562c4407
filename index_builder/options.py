"""The options of `python -m index_builder`, and what of them goes into a build."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index_builder.artifact import MIN_RECALL
from index_builder.embedding import DEFAULT_BATCH
from index_builder.keywords import SCRIPTS
from index_builder.kinds import KINDS


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Options of `read_keywords`."""
    parser.add_argument(
        "--keywords",
        type=Path,
        required=True,
        metavar="FILE",
        help="text, a word a line; or .tsv, .csv, .jsonl",
    )
    parser.add_argument("--all-words", action="store_true", help="keep words that are marked as not visual")
    parser.add_argument(
        "--stop-list",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a list of words to leave out; may be repeated",
    )
    parser.add_argument("--script", choices=SCRIPTS, default="as_is", help="turn words into simplified ones")
    parser.add_argument(
        "--subject",
        action="append",
        default=[],
        metavar="NAME",
        help="keep only words about it; may be repeated",
    )
    parser.add_argument("--dropped", type=Path, metavar="FILE", help="write every dropped line here (.tsv)")


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Options of `build_version` beside the list's."""
    parser.add_argument("--encoder", type=Path, required=True, metavar="BUNDLE", help="the encoder's folder")
    parser.add_argument("--publish", action="store_true", help="publish the new version at once")
    parser.add_argument("--batch", type=positive, default=DEFAULT_BATCH, metavar="N", help="words per call")
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu", help="where the encoder runs")
    parser.add_argument("--processes", type=positive, default=1, metavar="N", help="embed in N processes")
    parser.add_argument(
        "--gpus", type=_names, default=(), metavar="0,1", help="one embedding process for each GPU"
    )
    parser.add_argument("--no-cache", action="store_true", help="embed every word, also known ones")
    parser.add_argument("--kind", choices=KINDS, help="kind of index; chosen by size by default")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=N",
        help="a parameter of --kind; may be repeated",
    )
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--ensemble", action="store_true", help="average over built-in templates")
    prompts.add_argument("--templates", type=Path, metavar="FILE", help="average over these, one a line")
    parser.add_argument(
        "--correction", type=float, default=0.0, metavar="C", help="take C times the mean similarity off"
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FOLDER", help="typical pictures, for the correction"
    )
    add_min_recall(parser)


def add_min_recall(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-recall",
        type=float,
        default=MIN_RECALL,
        metavar="R",
        help=f"publish nothing of a lower recall@10 ({MIN_RECALL} by default; 0 publishes anything)",
    )


def add_command(
    commands: Any, name: str, run: Callable[..., None], text: str, *, index: bool = True
) -> argparse.ArgumentParser:
    """A command with the options that all have."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize())
    if index:
        parser.add_argument(
            "--index", "--out", dest="root", type=Path, required=True, metavar="DIR", help="the index folder"
        )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run)
    return parser


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def whole(text: str) -> int:
    """A whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, not {value}")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _setting(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, int(value)
