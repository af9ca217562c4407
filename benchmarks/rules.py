"""What the rules cost: poems under tones and rhyme against poems of the right lengths alone."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.process import ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from models.bundle import open_bundle
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling

_KEYWORDS = ["明月", "江水", "孤舟", "白云"]
_ROUNDS = 8
_POEMS = 10


def _cost(name: str, *, candidates: int) -> Result:
    """七绝, in turns, so that a change of the machine's mood falls on both; the median round counts."""
    poet = Poet.open(open_bundle(ROOT / "models" / "bundles" / name, kind="poet"), threads=1)
    form = FORMS["qijue"]

    def write(rules: Rules) -> None:
        constraint = poet.constraint(form, rules)
        for _ in poet.compose(
            _KEYWORDS, form=form, sampling=Sampling(), seed=1, constraint=constraint, candidates=candidates
        ):
            pass

    def round_of(rules: Rules) -> float:
        return statistics.median(timed(partial(write, rules), repeat=_POEMS, warm=1))

    rounds = [(round_of(Rules()), round_of(Rules(regulated=False))) for _ in range(_ROUNDS)]
    kept = describe(f"{candidates} candidate(s) under the rules", [ruled for ruled, _ in rounds])
    free = describe("lengths alone", [free for _, free in rounds])
    return Result(value=kept, unit="ms", ratio=free / kept, against="lengths alone")


BENCHMARKS: dict[str, Benchmark] = {
    f"rules-cost-{poet}-{candidates}": partial(_cost, poet, candidates=candidates)
    for poet in ("gpt2", "t5")
    for candidates in (1, 8)
}
