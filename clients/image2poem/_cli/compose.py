"""`image2poem compose`: one poem, shown as it is written."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from functools import partial
from pathlib import Path

from image2poem._cli.command import Commands, add_command, connect
from image2poem._cli.page import Columns, Page, Rows
from image2poem._cli.poem_report import PoemReport
from image2poem._cli.report import JsonReport
from image2poem._cli.terminal import BOLD, Style, Waiting, obeys
from image2poem._cli.wish import add_wish, wish_of, words
from image2poem.card import card_of, require_pillow
from image2poem.errors import Image2PoemError, Overloaded
from image2poem.events import Finished
from image2poem.wishes import ComposeWish


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    command = add_command(commands, "compose", _run, "write a poem, and show it as it is written")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="an image file; - for stdin")
    source.add_argument("--keywords", type=words, metavar="明月,故乡", help="write about these words instead")
    source.add_argument(
        "--text", metavar="TEXT", help="write about the keywords nearest to this text instead"
    )
    add_wish(command)
    shown = command.add_argument_group("what is shown")
    shown.add_argument("--vertical", action="store_true", help="in columns from right to left")
    shown.add_argument("--timings", action="store_true", help="where the time went")
    shown.add_argument(
        "--card", type=Path, metavar="FILE", help="draw picture and poem as one image, a PNG file"
    )


def _run(options: argparse.Namespace) -> None:
    if options.card is not None:
        _check_card(options.card)
    picture = _picture(options.image)
    wish: ComposeWish = {
        **wish_of(options),
        "picture": picture,
        "keywords": options.keywords,
        "text": options.text,
    }
    # Where both share a terminal the line gives way to the poem; beside JSON it would only be in the way.
    shown = obeys(sys.stderr) and not (options.json and sys.stdout.isatty())
    with (
        Waiting(sys.stderr, shown=shown) as waiting,
        connect(options, on_wait=partial(_excuse, waiting)) as client,
    ):
        looks = options.keywords is None and not options.json
        waiting.say("looking for words" if looks else "writing")
        report = JsonReport(sys.stdout) if options.json else _report(options, waiting)
        for event in client.compose(**wish):
            report.event(event)
            if options.card is not None and isinstance(event, Finished):
                waiting.say("drawing the card")
                options.card.write_bytes(card_of(event, picture=picture))


def _report(options: argparse.Namespace, waiting: Waiting) -> PoemReport:
    style = Style(sys.stdout)
    paint = partial(style.paint, kind=BOLD)
    page: Page = Rows(sys.stdout, paint)
    if options.vertical:
        lines = 8 if options.form in ("wulv", "qilv") else 4
        live = obeys(sys.stdout) and options.candidates == 1
        page = Columns(sys.stdout, lines, live=live, paint=paint)
    return PoemReport(sys.stdout, page, waiting, candidates=options.candidates, timings=options.timings)


def _excuse(waiting: Waiting, error: Image2PoemError, seconds: float) -> None:
    why = "the server is busy" if isinstance(error, Overloaded) else "no server yet"
    waiting.say(f"{why}, again in {seconds:.1f} s")


def _picture(path: Path | None) -> bytes | None:
    if path is None:
        return None
    if str(path) == "-":
        return sys.stdin.buffer.read()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a folder; use `image2poem batch`", str(path))
    return path.read_bytes()


def _check_card(path: Path) -> None:
    """Before the poem is written rather than after."""
    require_pillow()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
