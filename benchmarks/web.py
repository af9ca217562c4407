"""The page's gateway: a crowd of browsers, and how soon a tab that closes frees its place."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.process import ROOT, server
from benchmarks.result import Benchmark, Result, describe, within

_BROWSERS, _POEMS = 20, 5
_REPEAT = 10
_WISH = {"keywords": ["明月", "故乡", "孤舟", "秋江"], "form": "qijue"}
# Long enough to be still at it when the tab closes.
_LONG = {"keywords": ["明月", "故乡"], "form": "qilv", "candidates": 16, "line_choices": 4}
_SHORT = {"keywords": ["明月"], "form": "wujue", "line_choices": 1}


@contextmanager
def _gateway(*server_options: str) -> Iterator[str]:
    """HOST:PORT of a gateway before a server, both of their own processes."""
    command = [sys.executable, "-m", "web", "--listen", "127.0.0.1:0", "--rate", "0", "--target"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients")}
    with (
        server(*server_options) as running,
        subprocess.Popen(
            [*command, running.address], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield urllib.parse.urlsplit(json.loads(process.stdout.readline())["url"]).netloc
        finally:
            process.terminate()


def _stream(address: str, wish: dict[str, Any]) -> tuple[http.client.HTTPConnection, Iterator[str]]:
    """The connection, and the kinds of the poem's events as they come."""
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("POST", "/api/poems", json.dumps(wish), {"Content-Type": "application/json"})
    response = connection.getresponse()
    rows = (row.decode().strip() for row in response)
    return connection, (row.removeprefix("event: ") for row in rows if row.startswith("event: "))


def _crowd() -> Result:
    """Twenty browsers, each writing five poems one after another: the slowest one against the median."""
    seconds: list[float] = []

    def browse(address: str, number: int) -> None:
        started = time.perf_counter()
        for poem in range(_POEMS):
            *_, last = _stream(address, {**_WISH, "seed": number * _POEMS + poem})[1]
            if last != "finished":
                raise RuntimeError(f"a poem ended with {last}")
        seconds.append(time.perf_counter() - started)

    with _gateway("--waiting", "64") as address:
        browsers = [threading.Thread(target=browse, args=(address, number)) for number in range(_BROWSERS)]
        for browser in browsers:
            browser.start()
        for browser in browsers:
            browser.join()
    if len(seconds) < _BROWSERS:
        raise RuntimeError("a browser did not get its poems")
    slowest, median = max(seconds), statistics.median(seconds)
    print(f"  {_BROWSERS} browsers, {_POEMS} poems each: median {median:.2f} s, slowest {slowest:.2f} s")
    return within(slowest / median, "× the median browser's time", limit=2.0)


def _leave() -> Result:
    """From a closed connection until the server's only place writes for somebody else."""
    times = []
    with _gateway("--workers", "1", "--waiting", "0") as address:
        for _ in range(_REPEAT):
            connection, kinds = _stream(address, _LONG)
            while next(kinds) != "token":
                pass
            if next(_stream(address, _SHORT)[1]) != "failed":
                raise RuntimeError("the place was not taken")
            connection.sock.close()
            kinds.close()  # type: ignore[attr-defined]
            del kinds, connection
            started = time.perf_counter()
            while True:
                kind, *_ = _stream(address, _SHORT)[1]
                if kind == "retrieved":
                    break
            times.append((time.perf_counter() - started) * 1000)
    return within(describe("place free again, and one 五绝 written", times), "ms", limit=1000.0)


BENCHMARKS: dict[str, Benchmark] = {"web-crowd": _crowd, "web-leave": _leave}
