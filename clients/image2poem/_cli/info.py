"""`image2poem info`: what the server has and allows."""

from __future__ import annotations

import argparse
import sys

from image2poem._cli.command import Commands, add_command, connect
from image2poem._cli.report import report_for


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    add_command(commands, "info", _run, "say what the server has and allows")


def _run(options: argparse.Namespace) -> None:
    with connect(options) as client:
        report_for(options, sys.stdout).info(client.info())
