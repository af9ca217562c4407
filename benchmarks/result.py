"""What a benchmark says, and how it counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Result:
    """A measured value, and how many times better it is than what it is held against."""

    value: float
    unit: str
    ratio: float
    against: str

    def rounded(self) -> dict[str, Any]:
        """As a dictionary, floats with four significant digits."""
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(self).items()}


Benchmark: TypeAlias = Callable[[], Result]


def within(value: float, unit: str, *, limit: float) -> Result:
    """A value that should stay below a limit; above 1 the ratio says how much room is left."""
    return Result(value=value, unit=unit, ratio=limit / value, against=f"the limit of {limit:g} {unit}")


def timed(function: Callable[[], object], *, repeat: int, warm: int = 2) -> list[float]:
    """Milliseconds of each of `repeat` calls, after `warm` that do not count."""
    for _ in range(warm):
        function()
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        function()
        times.append((time.perf_counter() - started) * 1000)
    return times


def describe(label: str, times: Sequence[float]) -> float:
    """Print p50 and p95 of some milliseconds; returns the p50."""
    middle = statistics.median(times)
    p95 = sorted(times)[int(0.95 * (len(times) - 1))]
    print(f"  {label}: p50 {middle:.3f} ms, p95 {p95:.3f} ms, {len(times)} times", flush=True)
    return middle
