"""How a server bears callers: waiting times against their number, and a long time at its limit."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from benchmarks.process import ROOT, Running, jpeg, server
from benchmarks.result import Benchmark, Result
from benchmarks.streams import Stream, at_once, percentile, stream, wish
from image2poem.v1 import poem_service_pb2_grpc as pb_grpc

_CALLERS = (1, 2, 4, 8, 16, 32, 64)
_CHART = ROOT / "docs" / "pictures" / "load.png"
# Seconds of the long run, of which the first part is for warming up.
_SECONDS = float(os.environ.get("LOAD_SECONDS", "300"))
_WARM_SHARE = 0.2
_STEADY_CALLERS = 32


@dataclass(frozen=True, kw_only=True)
class Level:
    """What so many callers at once saw: poems a second, and milliseconds p50 and p95."""

    callers: int
    poems_per_second: float
    first: tuple[float, float]
    whole: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.callers:3} callers: {self.poems_per_second:5.2f} poems/s; first token p50 "
            f"{self.first[0]:6.0f} ms, p95 {self.first[1]:6.0f} ms; whole poem p50 {self.whole[0]:6.0f} ms, "
            f"p95 {self.whole[1]:6.0f} ms"
        )


def _level(callers: int, poems: Sequence[Stream], seconds: float) -> Level:
    def spread(values: list[float]) -> tuple[float, float]:
        return statistics.median(values) * 1000, percentile(values, 0.95) * 1000

    return Level(
        callers=callers,
        poems_per_second=len(poems) / seconds,
        first=spread([poem.first for poem in poems]),
        whole=spread([poem.whole for poem in poems]),
    )


async def _levels(address: str) -> list[Level]:
    picture, levels = jpeg(1280, 800), []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.PoemServiceStub(channel)
        await at_once(stub, [wish(number, picture=picture) for number in range(4)], 2)
        for callers in _CALLERS:
            requests = [wish(number, picture=picture) for number in range(max(10, 2 * callers))]
            started = time.perf_counter()
            poems = await at_once(stub, requests, callers)
            levels.append(_level(callers, poems, time.perf_counter() - started))
            print(f"  {levels[-1]}", flush=True)
    return levels


def _draw(levels: Sequence[Level], path: Path) -> None:
    from matplotlib.figure import Figure

    callers = [level.callers for level in levels]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    times, rate = figure.subplots(1, 2)
    for name, label in (("first", "first token"), ("whole", "whole poem")):
        for place, style in ((0, "o-"), (1, "o--")):
            shown = [getattr(level, name)[place] for level in levels]
            times.plot(callers, shown, style, label=f"{label}, {('p50', 'p95')[place]}", markersize=3)
    times.set(xscale="log", yscale="log", xlabel="callers at once", ylabel="ms")
    times.legend(frameon=False)
    rate.plot(callers, [level.poems_per_second for level in levels], "o-", markersize=3)
    rate.set(xscale="log", xlabel="callers at once", ylabel="poems a second", ylim=(0, None))
    for axes in (times, rate):
        axes.set_xticks(callers, [str(count) for count in callers])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def load() -> Result:
    """七绝 of a 1280×800 JPEG by the default poet, with 1 to 64 callers; draws docs/pictures/load.png."""
    with server() as running:
        levels = asyncio.run(_levels(running.address))
    _draw(levels, _CHART)
    best = max(level.poems_per_second for level in levels)
    return Result(
        value=best,
        unit="poems/s",
        ratio=best / levels[0].poems_per_second,
        against="one caller alone",
    )


async def _steady(running: Running) -> tuple[float, float, list[float]]:
    """Resident MiB after warming up and at the end, and poems a second of each tenth of the time."""
    picture, ends, started = jpeg(1280, 800), [], time.perf_counter()
    number = iter(range(10**9))
    async with grpc.aio.insecure_channel(running.address) as channel:
        stub = pb_grpc.PoemServiceStub(channel)

        async def caller() -> None:
            while time.perf_counter() - started < _SECONDS:
                await stream(stub, wish(next(number), picture=picture))
                ends.append(time.perf_counter() - started)

        callers = asyncio.gather(*(caller() for _ in range(_STEADY_CALLERS)))
        await asyncio.sleep(_SECONDS * _WARM_SHARE)
        before = running.resident_mib()
        await asyncio.sleep(_SECONDS * (1 - _WARM_SHARE))
        after = running.resident_mib()
        await callers
    tenth = _SECONDS / 10
    return before, after, [sum(int(end / tenth) == place for end in ends) / tenth for place in range(10)]


def load_steady() -> Result:
    """32 callers for five minutes (LOAD_SECONDS): poems a second, and what memory grows by."""
    with server() as running:
        before, after, rates = asyncio.run(_steady(running))
    print(f"  poems/s of each tenth: {', '.join(f'{rate:.2f}' for rate in rates)}", flush=True)
    print(f"  resident: {before:.0f} MiB after warming up, {after:.0f} MiB at the end", flush=True)
    return Result(
        value=statistics.median(rates),
        unit="poems/s",
        ratio=before / after,
        against="its own memory after warming up, in MiB (1 is no growth)",
    )


BENCHMARKS: dict[str, Benchmark] = {"load": load, "load-steady": load_steady}
