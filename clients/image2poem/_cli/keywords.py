"""`image2poem keywords`: the imagery words of a picture or a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from image2poem._cli.command import Commands, add_command, connect
from image2poem._cli.report import report_for


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    command = add_command(commands, "keywords", _run, "look up the imagery words of a picture or a text")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="an image file")
    source.add_argument("--text", metavar="秋江", help="look up the words nearest to this text instead")
    command.add_argument("--top-k", type=int, metavar="K", help="how many keywords (8)")


def _run(options: argparse.Namespace) -> None:
    picture = None if options.image is None else options.image.read_bytes()
    with connect(options) as client:
        lookup = client.lookup_keywords(picture=picture, text=options.text, top_k=options.top_k)
    report_for(options, sys.stdout).keywords(lookup)
