"""What an index of N vectors costs: `python -m benchmarks.index_scale --folder DIR 10000 100000 …`

For each N, clustered unit vectors of 512 dimensions (`clustered`) are written to DIR, built into a version as
`python -m index_builder build` does after embedding, opened again, and asked. Each N runs in a process of its
own, so that its memory is its own; what it wrote is deleted unless --keep is given. `--plot FILE` draws
the rows of --out.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.clustered import DIMENSION, Clustered
from index_builder import artifact
from index_builder.kinds import IndexKind, choose_kind, make_index, with_defaults
from index_builder.recall import exact_neighbours, measure_recall, truths, tune

_K, _QUERIES, _TIMED = 10, 200, 100
_EXACT_UP_TO = 1_000_000  # above, the vectors alone crowd a machine of 24 GiB


def measure(count: int, folder: Path, *, kind: IndexKind) -> dict[str, Any]:
    """Build an index of `count` vectors in `folder`, and ask it. Prints each step."""
    source, root = Clustered(), folder / "index"
    root.mkdir(parents=True, exist_ok=True)
    _step("wrote vectors", lambda: source.write(root / "vectors.npy", count))
    version, facts = _built(count, root, kind)
    _step("published", lambda: artifact.publish(root, version))
    return {"count": count, **facts, **_asked(root, version, source)}


def _built(count: int, root: Path, asked: IndexKind) -> tuple[str, dict[str, Any]]:
    """A version of the vectors in ROOT/vectors.npy, and what it took."""
    vectors = np.load(root / "vectors.npy", mmap_mode="r")
    with _peak_memory() as peak:
        began = time.perf_counter()
        chosen = with_defaults(asked, count, DIMENSION)
        index = _step(f"built {chosen.kind}", lambda: make_index(vectors, chosen))
        built = time.perf_counter()
        tuning, judging = _step("searched exactly, for tuning", lambda: truths(vectors, chosen))
        made = _step("tuned", lambda: tune(index, chosen, tuning))
        tuned = time.perf_counter()
        recall = _step("measured recall", lambda: measure_recall(index, made, judging))
        encoder = {"name": "synthetic", "fingerprint": "0" * 64}
        version = _step(
            "wrote the version",
            lambda: artifact.write_version(
                root,
                keywords=[f"景{place}" for place in range(count)],
                vectors=root / "vectors.npy",
                index=index,
                facts={"encoder": encoder, "index": asdict(made), "recall": asdict(recall)},
            ),
        )
    return version, {
        "kind": made.kind,
        "parameters": dict(made.parameters),
        "recall_between": recall.value,
        "build_seconds": tuned - began,
        "tune_seconds": tuned - built,
        "build_peak_mib": peak[0],
    }


def _asked(root: Path, version: str, source: Clustered) -> dict[str, Any]:
    """What the opened version answers to new vectors, how fast, and what it keeps in memory and on disk."""
    queries = source.queries(_QUERIES)
    folder = root / "versions" / version
    rows = np.load(folder / "vectors.npy", mmap_mode="r")
    truth = _step("searched exactly", lambda: exact_neighbours(queries, rows, _K)[0])
    before = _own_memory()
    opened = artifact.open_version(root, version)
    scores, _ = opened.search(queries, _K)
    found = float((scores >= truth[:, -1:] - 1e-5).mean())
    times = [_timed(lambda query=query: opened.search(query, _K)) for query in queries[:_TIMED, np.newaxis]]
    result = {
        "recall": found,
        "p50_ms": float(np.median(times)),
        "p95_ms": float(np.quantile(times, 0.95)),
        "memory_mib": _own_memory() - before,
        "index_mib": (folder / "index.faiss").stat().st_size / 2**20,
        "exact_p50_ms": None,
    }
    if len(rows) <= _EXACT_UP_TO:
        flat = faiss.IndexFlatIP(DIMENSION)
        flat.add(np.ascontiguousarray(rows))
        faiss.omp_set_num_threads(1)
        result["exact_p50_ms"] = float(
            np.median(
                [_timed(lambda query=query: flat.search(query, _K)) for query in queries[:30, np.newaxis]]
            )
        )
    return result


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _step(name: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = call()
    print(f"  {name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return result


def _own_memory() -> float:
    """MiB in use by this process that are no mapped files: those leave when others need the room."""
    # What was freed goes back first, or it would hide what is taken next.
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


@contextmanager
def _peak_memory() -> Iterator[list[float]]:
    """Gives a list whose one number is the most own memory inside the block, in MiB."""
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], _own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw build time, search time and memory over the number of vectors."""
    from matplotlib import pyplot

    rows = sorted(rows, key=lambda row: row["count"])
    counts = [row["count"] for row in rows]
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6))
    axes[0].plot(counts, [row["p50_ms"] for row in rows], "o-", label="chosen kind")
    exact = [row for row in rows if row["exact_p50_ms"]]
    axes[0].plot([r["count"] for r in exact], [r["exact_p50_ms"] for r in exact], "s--", label="exact")
    axes[1].plot(counts, [row["build_seconds"] for row in rows], "o-")
    axes[2].plot(counts, [row["build_peak_mib"] for row in rows], "s--", label="building, peak")
    axes[2].plot(counts, [max(1, row["memory_mib"]) for row in rows], "o-", label="serving")
    titles = ("search of one vector, p50 (ms)", "building, without embedding (s)", "own memory (MiB)")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(xscale="log", yscale="log", title=title, xlabel="vectors of 512 dimensions")
        axis.grid(alpha=0.3)
    axes[0].legend()
    axes[2].legend()
    for row in rows:
        axes[0].annotate(
            row["kind"], (row["count"], row["p50_ms"]), xytext=(4, -12), textcoords="offset points"
        )
    figure.tight_layout()
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_scale", description=__doc__)
    parser.add_argument("counts", nargs="*", type=int)
    parser.add_argument("--folder", type=Path, help="where there is room: 4 KiB a vector")
    parser.add_argument("--kind", help="instead of the one chosen by size")
    parser.add_argument("--lists", type=int, help="of an IVF kind")
    parser.add_argument("--out", type=Path, help="append a JSON object a line")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        (count,) = options.counts
        parameters = {"lists": options.lists} if options.lists else {}
        kind = IndexKind(kind=options.kind or choose_kind(count).kind, parameters=parameters)
        print(json.dumps(measure(count, options.folder, kind=kind)))
        return 0
    for count in options.counts:
        print(_in_process(count, options), flush=True)
    if options.plot:
        plot([json.loads(line) for line in options.out.read_text().splitlines()], options.plot)
    return 0


def _in_process(count: int, options: argparse.Namespace) -> str:
    """One measurement in a process of its own; returns its JSON line."""
    folder = options.folder / f"scale-{count}"
    more = [f"--{name}={value}" for name in ("kind", "lists") if (value := getattr(options, name))]
    command = [sys.executable, "-m", "benchmarks.index_scale", "--inside", "--folder", str(folder), *more]
    try:
        line = subprocess.run(
            [*command, str(count)], check=True, stdout=subprocess.PIPE, text=True, env=os.environ
        ).stdout
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.out:
        with options.out.open("a", encoding="utf-8") as out:
            out.write(line)
    return line.strip()


if __name__ == "__main__":
    sys.exit(main())
