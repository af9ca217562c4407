"""The checker: how long it takes, and what it says of poems by people.

    python -m benchmarks check-poem
    python -m benchmarks.checker runs/corpus/validation.jsonl …

The second takes a split of the training corpus (`python -m models.training.corpus` makes it) and prints for
each dynasty and form the share of poems that conform: as the checker counts, with readings resolved by their
priors, and as stricter checkers count, which know no 大拗 (R3), take 三仄尾 (ZZZ) for an error, or both.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.result import Benchmark, Result, describe, timed, within
from models.prosody import FORMS
from models.prosody.checker import check
from models.prosody.report import Report, Severity

_CLIMBING_HIGH = (
    "风急天高猿啸哀，渚清沙白鸟飞回。无边落木萧萧下，不尽长江滚滚来。"
    "万里悲秋常作客，百年多病独登台。艰难苦恨繁霜鬓，潦倒新停浊酒杯。"
)
_COLUMNS = {
    "conform": lambda report: report.conforms,
    "usual": lambda report: report.conforms_resolved,
    "no R3": lambda report: report.conforms and not _rescued(report, "great_deviation"),
    "no ZZZ": lambda report: report.conforms and not _warned(report, "three_oblique_ending"),
    "neither": lambda report: (
        report.conforms
        and not _rescued(report, "great_deviation")
        and not _warned(report, "three_oblique_ending")
    ),
}


def check_poem() -> Result:
    times = timed(lambda: check(_CLIMBING_HIGH), repeat=500)
    return within(describe("a 七律", times), "ms", limit=1.0)


BENCHMARKS: dict[str, Benchmark] = {"check-poem": check_poem}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", type=Path, help="a split of the corpus, JSON lines")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take one poem in N (1)")
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    shares: Counter[tuple[str, str, str]] = Counter()
    faults: Counter[tuple[str, str, str]] = Counter()
    for dynasty, report in _reports(options.corpus, options.every):
        group = dynasty, report.form.name if report.form else "none"
        counts[group] += 1
        for name, holds in _COLUMNS.items():
            shares[*group, name] += holds(report)
        for kind in {fault.kind for fault in report.faults}:
            faults[*group, kind] += 1
    print("dynasty  form   poems  " + "  ".join(f"{name:>9}" for name in _COLUMNS))
    for group in sorted(counts, key=lambda group: (group[0], [*FORMS, "none"].index(group[1]))):
        row = "  ".join(f"{shares[*group, name] / counts[group]:9.1%}" for name in _COLUMNS)
        print(f"{group[0]:7}  {group[1]:5}  {counts[group]:5}  {row}")
    for group in sorted(counts):
        found = {kind: faults[*group, kind] / counts[group] for *rest, kind in faults if tuple(rest) == group}
        words = ", ".join(
            f"{kind} {share:.1%}" for kind, share in sorted(found.items(), key=lambda item: -item[1])
        )
        print(f"{group[0]} {group[1]}: {words}")


def _reports(paths: list[Path], every: int) -> Iterator[tuple[str, Report]]:
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                if number % every == 0:
                    poem = json.loads(line)
                    yield poem["dynasty"], check("\n".join(poem["lines"]))


def _rescued(report: Report, kind: str) -> bool:
    return any(rescue.kind == kind for rescue in report.rescues)


def _warned(report: Report, kind: str) -> bool:
    return any(fault.kind == kind and fault.severity is Severity.WARNING for fault in report.faults)


if __name__ == "__main__":
    main()
