"""`image2poem batch`: a poem for each of many pictures, as JSON Lines."""

from __future__ import annotations

import argparse
import asyncio
import errno
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from image2poem._cli.batch_report import BatchReport
from image2poem._cli.command import Commands, add_command, connection_of, whole_number
from image2poem._cli.results import Results
from image2poem._cli.terminal import obeys
from image2poem._cli.wish import add_wish, wish_of
from image2poem.aio import Client
from image2poem.errors import Image2PoemError, Overloaded, ServerError, Unavailable
from image2poem.events import Finished
from image2poem.wishes import ComposeWish

# What servers read, by the names that such files have; a file that is named itself may be called anything.
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
# A batch is what makes a server busy: it waits for its turn, up to so many times beyond `--retries`.
_TURNS = 60


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    text = "write a poem for each of many pictures, as JSON Lines"
    command = add_command(commands, "batch", _run, text, json=False)
    command.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE|FOLDER", help="pictures, and folders with pictures"
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="add to this file, and skip the pictures that it has; standard output without it",
    )
    command.add_argument("--jobs", type=whole_number(1), default=2, metavar="N", help="pictures at once (2)")
    add_wish(command)


def _run(options: argparse.Namespace) -> int:
    pictures = list(dict.fromkeys(_pictures(options.paths)))
    with Results(options.out) as results:
        todo = [path for path in pictures if str(path) not in results.done]
        skipped = len(pictures) - len(todo)
        with BatchReport(sys.stderr, len(todo), skipped=skipped, live=obeys(sys.stderr)) as report:
            asyncio.run(_write_all(todo, options, results, report))
    return 1 if report.failed else 0


def _pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named, and the pictures of folders in the order of their names.

    Raises FileNotFoundError for a path that is not there, and for a folder without pictures.
    """
    for path in paths:
        if not path.is_dir():
            path.stat()
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if _is_picture(file, path))
        if not found:
            raise FileNotFoundError(errno.ENOENT, "No picture in the folder", str(path))
        yield from found


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not hidden and file.is_file()


async def _write_all(
    pictures: list[Path], options: argparse.Namespace, results: Results, report: BatchReport
) -> None:
    """Raises Unavailable once no server answers: the pictures that are left stay for the next run."""
    waiting, wish = iter(pictures), wish_of(options)
    async with Client(**connection_of(options)) as client:
        jobs = [
            asyncio.create_task(_work(client, waiting, wish, results, report)) for _ in range(options.jobs)
        ]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)


async def _work(
    client: Client, waiting: Iterator[Path], wish: ComposeWish, results: Results, report: BatchReport
) -> None:
    for path in waiting:
        try:
            finished = await _in_turn(client, path, wish)
        except (Image2PoemError, OSError) as error:
            if isinstance(error, Unavailable) and not isinstance(error, Overloaded):
                raise
            report.fail(path, error)
        else:
            results.add(path, finished)
            report.succeed()


async def _in_turn(client: Client, path: Path, wish: ComposeWish) -> Finished:
    picture = path.read_bytes()
    for _ in range(_TURNS):
        try:
            return await _compose(client, picture, wish)
        except Overloaded as error:
            await asyncio.sleep(min(error.retry_after or 1.0, 10.0))
    return await _compose(client, picture, wish)


async def _compose(client: Client, picture: bytes, wish: ComposeWish) -> Finished:
    request: ComposeWish = {**wish, "picture": picture}
    async for event in client.compose(**request):
        if isinstance(event, Finished):
            return event
    raise ServerError("the stream ended without a poem")
