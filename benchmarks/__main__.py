"""Run the benchmarks.

    python -m benchmarks                      all of them
    python -m benchmarks first-token          one
    python -m benchmarks --list
    python -m benchmarks first-token --json-out result.json

Each prints what it does, and as its last line one JSON object: name, value, unit, ratio, against.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import (
    best_of,
    cache,
    checker,
    choice,
    clip,
    clip_parity,
    encoder,
    grpc_layer,
    index,
    index_build,
    load,
    parallelism,
    rules,
    serving,
    single_stream,
    soak,
    startup,
    streams,
    swap,
    web,
)
from benchmarks.result import Benchmark

_ALL: dict[str, Benchmark] = {
    **startup.BENCHMARKS,
    **serving.BENCHMARKS,
    **encoder.BENCHMARKS,
    **clip.BENCHMARKS,
    **clip_parity.BENCHMARKS,
    **index.BENCHMARKS,
    **index_build.BENCHMARKS,
    **swap.BENCHMARKS,
    **cache.BENCHMARKS,
    **checker.BENCHMARKS,
    **rules.BENCHMARKS,
    **parallelism.BENCHMARKS,
    **choice.BENCHMARKS,
    **best_of.BENCHMARKS,
    **single_stream.BENCHMARKS,
    **streams.BENCHMARKS,
    **grpc_layer.BENCHMARKS,
    **load.BENCHMARKS,
    **soak.BENCHMARKS,
    **web.BENCHMARKS,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=sorted(_ALL), help="one benchmark; all by default")
    parser.add_argument("--list", action="store_true", help="list the names")
    parser.add_argument("--json-out", type=Path, help="write the results here too, one JSON object a line")
    options = parser.parse_args()
    if options.list:
        print("\n".join(_ALL))
        return 0
    lines = []
    for name in [options.name] if options.name else _ALL:
        print(f"# {name}", flush=True)
        result = _ALL[name]()
        lines.append(json.dumps({"name": name, **result.rounded()}))
        print(lines[-1], flush=True)
    if options.json_out:
        options.json_out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
