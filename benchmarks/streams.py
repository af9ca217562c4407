"""Poems that many callers wait for at once, against the same poems one after another."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc.aio

from benchmarks.process import server
from benchmarks.result import Benchmark, Result
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc

STREAMS = 32
_KEYWORDS = ("明月", "江水", "孤舟", "白云", "故乡", "秋风", "楼台", "夕阳")
_TIMEOUT = 300


@dataclass
class Stream:
    """One poem as its caller saw it: seconds from the call to the first character and to the end, and
    between characters; the poem's text."""

    first: float = 0.0
    whole: float = 0.0
    gaps: list[float] = field(default_factory=list)
    text: str = ""

    @property
    def tokens(self) -> int:
        return len(self.gaps) + 1


def wish(number: int, **options: Any) -> pb.ComposePoemRequest:
    """A request for a 七绝 of three keywords; each number has others, and its own seed."""
    words = [_KEYWORDS[(number + step) % len(_KEYWORDS)] for step in (0, 3, 5)]
    options = {"keywords": pb.KeywordList(words=words), **options} if not options.get("picture") else options
    return pb.ComposePoemRequest(form=poem_pb2.FORM_QIJUE, seed=number, **options)


async def stream(stub: Any, request: pb.ComposePoemRequest) -> Stream:
    """Call and read to the end."""
    found, started = Stream(), time.perf_counter()
    last = started
    async for event in stub.ComposePoem(request, timeout=_TIMEOUT):
        now = time.perf_counter()
        match event.WhichOneof("event"):
            case "token":
                if found.first:
                    found.gaps.append(now - last)
                else:
                    found.first = now - started
                last = now
                found.text += event.token.text
            case "finished":
                found.whole = now - started
    return found


async def one_after_another(stub: Any, requests: Iterable[pb.ComposePoemRequest]) -> list[Stream]:
    return [await stream(stub, request) for request in requests]


async def at_once(stub: Any, requests: Sequence[pb.ComposePoemRequest], streams: int) -> list[Stream]:
    """All of them, so many at any time."""
    waiting = list(reversed(requests))

    async def work() -> list[Stream]:
        found = []
        while waiting:
            found.append(await stream(stub, waiting.pop()))
        return found

    return [poem for some in await asyncio.gather(*(work() for _ in range(streams))) for poem in some]


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))]


async def _measure(address: str, poet: str) -> Result:
    requests = [wish(number, poet=poet, line_choices=1) for number in range(STREAMS)]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.PoemServiceStub(channel)
        await at_once(stub, requests, 4)
        rates = {}
        for name, run in (
            ("one after another", one_after_another(stub, requests)),
            (f"{STREAMS} at once", at_once(stub, requests * 3, STREAMS)),
        ):
            started = time.perf_counter()
            poems = await run
            seconds = time.perf_counter() - started
            rates[name] = sum(poem.tokens for poem in poems) / seconds
            gaps = [gap * 1000 for poem in poems for gap in poem.gaps]
            print(
                f"  {name}: {rates[name]:.0f} tokens/s; between tokens p50 {statistics.median(gaps):.1f} ms, "
                f"p99 {percentile(gaps, 0.99):.1f} ms; first token p50 "
                f"{statistics.median(poem.first for poem in poems) * 1000:.0f} ms",
                flush=True,
            )
    slow, fast = rates.values()
    return Result(value=fast, unit="tokens/s", ratio=fast / slow, against="the same one after another")


def _streams(poet: str, *options: str) -> Result:
    """32 streams of a server at once against 32 in sequence, seen by a client process."""
    with server(*options) as running:
        return asyncio.run(_measure(running.address, poet))


BENCHMARKS: dict[str, Benchmark] = {
    f"streams-32-{poet}{name}": partial(_streams, poet, *options)
    for poet in ("t5", "gpt2")
    for name, options in (("", ()), ("-fp32", ("--no-int8",)))
}
