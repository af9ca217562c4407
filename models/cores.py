"""How many processor cores this process may use: in a container fewer than the machine has.

Threads beyond that wait for each other: a container that may use two cores of sixty-four would be paused for
most of each tenth of a second.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath


def available(*, cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores by affinity and, on Linux, by the quota of the control group (version 2), at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(cgroups, own))))


def _quota(cgroups: Path, own: Path) -> float:
    """The least quota of this process's group and those above it, in cores; inf without one."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    [group] = [line.removeprefix("0::/") for line in lines if line.startswith("0::")] or [""]
    path = PurePosixPath(group)
    return min(_quota_of(cgroups / folder / "cpu.max") for folder in (path, *path.parents))


def _quota_of(file: Path) -> float:
    """Of a file that holds `max 100000`, or microseconds and the period that they are of."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf
