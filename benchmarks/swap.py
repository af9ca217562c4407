"""Ten indexes published in a row into a server under a steady load of picture queries."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.process import ROOT, Running, jpeg, server
from benchmarks.result import Benchmark, Result, within
from image2poem import AsyncClient, Image2PoemError
from index_builder import artifact
from index_builder.build import build_version
from index_builder.keywords import KeywordList, read_keywords
from models.bundle import open_bundle
from models.clip import Encoder

MARKS = "甲乙丙丁戊己庚辛壬癸子"
_ROUNDS, _PUBLISHES, _EVERY_SECONDS = 4, 10, 2.0
_QUERIES_PER_SECOND = 6.0
_ALLOWED = 1.3
_SHARES = (0.5, 0.9, 0.95, 0.99)
_PUBLISHER = """
import os, sys
from pathlib import Path
from index_builder import artifact
os.nice(19)
for line in sys.stdin:
    artifact.publish(Path(sys.argv[1]), line.strip())
    print(flush=True)
"""


@dataclass
class Load:
    """What the queries of one phase met: milliseconds from the moment each was due, and what went wrong."""

    times: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    def p99(self) -> float:
        return self.quantile(0.99)

    def quantile(self, share: float) -> float:
        return sorted(self.times)[int(share * (len(self.times) - 1))]

    def __iadd__(self, other: Load) -> Load:
        self.times += other.times
        self.failed += other.failed
        self.mixed += other.mixed
        self.versions |= other.versions
        return self


def build_marked(root: Path) -> dict[str, str]:
    """A version for each mark, by name: the shipped list, each word with the mark after it, so that no two
    versions have a word in common. The first is published.
    """
    encoder = Encoder.open(open_bundle(ROOT / "models" / "bundles" / "lite", kind="encoder"), provider="cpu")
    words = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv").words
    versions = {}
    for mark in MARKS:
        marked = tuple(word + mark for word in words)
        source = KeywordList(words=marked, dropped={}, source=f"{mark}.txt", sha256="")
        version = build_version(source, encoder, root=root, batch=256, use_cache=False)
        versions[version] = mark
    artifact.publish(root, next(iter(versions)))
    return versions


async def query(client: AsyncClient, picture: bytes, marks: dict[str, str], seconds: float) -> Load:
    """A steady load: each query is sent when it is due, however long the others take."""
    load, begun = Load(), time.perf_counter()

    async def one(due: float) -> None:
        await asyncio.sleep(due - time.perf_counter())
        try:
            found = await client.lookup_keywords(picture=picture)
        except Image2PoemError as error:
            load.failed.append(repr(error))
            return
        load.times.append((time.perf_counter() - due) * 1000)
        load.versions.add(found.index_version)
        if {keyword.text[-1] for keyword in found.keywords} != {marks[found.index_version]}:
            load.mixed.append(found.index_version)

    count = int(seconds * _QUERIES_PER_SECOND)
    await asyncio.gather(*(one(begun + number / _QUERIES_PER_SECOND) for number in range(count)))
    return load


async def publish_in_a_row(publisher: subprocess.Popen[str], versions: list[str]) -> None:
    """Each in a process of its own, as operators do."""
    assert publisher.stdin is not None
    assert publisher.stdout is not None
    for version in versions:
        due = time.perf_counter() + _EVERY_SECONDS
        publisher.stdin.write(f"{version}\n")
        publisher.stdin.flush()
        await asyncio.to_thread(publisher.stdout.readline)
        await asyncio.sleep(due - time.perf_counter())


@contextmanager
def publishing(root: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _PUBLISHER, str(root)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def measure(running: Running, root: Path, marks: dict[str, str]) -> Result:
    picture, names = jpeg(320, 240), list(marks)
    phase = _PUBLISHES * _EVERY_SECONDS
    without, during = Load(), Load()
    with publishing(root) as publisher:
        async with AsyncClient(running.address, retry=None) as client:
            for _ in range(3):
                # More at once than there ever will be, so that memory has its full size.
                await asyncio.gather(*(client.lookup_keywords(picture=picture) for _ in range(12)))
            before = 0.0
            for round in range(_ROUNDS):
                quiet = await query(client, picture, marks, phase)
                before = before or running.resident_mib()
                # Never the one in service first: that would be no swap.
                order = names[1:] if round % 2 == 0 else names[-2::-1]
                load, _ = await asyncio.gather(
                    query(client, picture, marks, phase), publish_in_a_row(publisher, order)
                )
                print(f"  {len(load.versions)} versions answered; p99 {load.p99():.0f} ms,", end=" ")
                print(f"{quiet.p99():.0f} without; resident {running.resident_mib():.0f} MiB,", end=" ")
                print(f"{before:.0f} before", flush=True)
                without += quiet
                during += load
    for label, load in (("without publishes", without), ("with a publish every 2 s", during)):
        shares = ", ".join(f"p{share:.0%} {load.quantile(share):.1f}".replace("%", "") for share in _SHARES)
        print(f"  {label}: {len(load.times)} replies, ms: {shares}; ", end="")
        print(f"{len(load.failed)} failed, {len(load.mixed)} mixed", flush=True)
    if during.failed or during.mixed or len(during.versions) < _PUBLISHES:
        raise RuntimeError(f"replies failed or mixed versions: {during.failed[:3]} {during.mixed[:3]}")
    return within(during.p99() / without.p99(), "times the p99 without publishes", limit=_ALLOWED)


def index_swap() -> Result:
    """The p99 of picture queries while ten indexes are published, against the p99 while none is."""
    with tempfile.TemporaryDirectory() as folder:
        marks = build_marked(Path(folder))
        with server("--index", folder, "--index-poll", "0.5") as running:
            return asyncio.run(measure(running, Path(folder), marks))


BENCHMARKS: dict[str, Benchmark] = {"index-swap": index_swap}
