"""From the command line to SERVING, and the memory it takes."""

from __future__ import annotations

import statistics

from benchmarks.process import jpeg, server
from benchmarks.result import Benchmark, Result, within
from image2poem import Client


def server_start() -> Result:
    """Seconds from starting the process to SERVING, median of five."""
    seconds = []
    for _ in range(5):
        with server() as running:
            seconds.append(running.seconds)
    print("  " + " ".join(f"{value:.2f}" for value in seconds), "s")
    return within(statistics.median(seconds), "s", limit=3.0)


def server_memory() -> Result:
    """Resident memory after warm-up and ten poems by each poet."""
    picture = jpeg(1280, 800)
    with server() as running, Client(running.address) as client:
        print(f"  after warm-up: {running.resident_mib():.0f} MiB")
        warm = running.resident_mib()
        for seed in range(10):
            for poet in client.info().poets:
                list(client.compose(picture=picture, poet=poet.name, seed=seed))
        print(f"  after ten poems by each poet: {running.resident_mib():.0f} MiB")
        return within(warm, "MiB", limit=600.0)


BENCHMARKS: dict[str, Benchmark] = {"server-start": server_start, "server-memory": server_memory}
