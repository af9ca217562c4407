"""`image2poem check`: poems of files, of standard input or of the command line, under the rules."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from image2poem._cli.check_report import CheckReport
from image2poem._cli.command import Commands, add_command, connect
from image2poem._cli.report import JsonReport
from image2poem._cli.rules_options import BOOKS, book_named

_ENCODINGS = ("utf-8-sig", "gb18030")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    check = add_command(commands, "check", _run, "check a poem under the rules of its form")
    check.add_argument(
        "poem",
        nargs="+",
        metavar="TEXT|FILE|-",
        help="the poem, as one text or a line each; or files with a poem each; or - for standard input",
    )
    books = ", ".join(BOOKS)
    check.add_argument(
        "--rhyme-book", type=book_named, metavar="BOOK", help=f"{books} ({', '.join(BOOKS.values())})"
    )


def _run(options: argparse.Namespace) -> None:
    report = JsonReport(sys.stdout) if options.json else CheckReport(sys.stdout)
    with connect(options) as client:
        for name, text in _poems(options.poem):
            report.poem(client.check_poem(text, rhyme_book=options.rhyme_book), name)


def _poems(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each poem that the arguments name, with the name of its file; empty for one that they are.

    Raises OSError for a file that cannot be read.
    """
    if list(arguments) == ["-"]:
        yield "", _decoded(sys.stdin.buffer.read())
    elif any(map(_is_file, arguments)) or all(argument.isascii() for argument in arguments):
        for name in arguments:
            if not _is_file(name):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            yield name, _decoded(Path(name).read_bytes())
    else:
        yield "", "\n".join(arguments)


def _is_file(argument: str) -> bool:
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):
        # A poem may be too long for a name, or hold what no name can.
        return False


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")
