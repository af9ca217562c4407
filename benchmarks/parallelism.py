"""Parallelism: how fast couplets are scored, and how well people's are told from false ones.

    python -m benchmarks couplet-scores
    python -m benchmarks.parallelism --corpus runs/corpus --split test

The second prints the AUC against each kind of false couplet: the chance that a true one has the higher score.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.result import Benchmark, Result, describe, timed, within
from models.prosody import parallelism, rhyme_book
from models.training.corpus import Poem, load
from models.training.parallelism import is_regular

_TRIES = 500


@dataclass(frozen=True, kw_only=True)
class Couplet:
    """A middle couplet of a poem of eight lines; `start` is the place of its upper line, 2 or 4."""

    lines: tuple[str, ...]
    start: int

    @property
    def upper(self) -> str:
        return self.lines[self.start]

    @property
    def lower(self) -> str:
        return self.lines[self.start + 1]


# A false couplet for a true one, or None where there is none; given the couplets of all poems too.
Falsify = Callable[[Couplet, Sequence[Couplet], random.Random], tuple[str, str] | None]


def of_another_poem(
    couplet: Couplet,
    couplets: Sequence[Couplet],
    rng: random.Random,
    *,
    tones: bool = False,
    rhyme: bool = False,
) -> tuple[str, str] | None:
    """The lower line of another poem; on request one with the right tones, or with the same rhyme."""
    for other in rng.choices(couplets, k=_TRIES):
        if other.lines == couplet.lines:
            continue
        if (not tones or is_regular(couplet.upper, other.lower)) and (
            not rhyme or _rhyme(couplet.lower, other.lower)
        ):
            return couplet.upper, other.lower
    return None


def of_the_outer_couplets(couplet: Couplet, *_: object) -> tuple[str, str]:
    """Line 8 for line 4, line 2 for line 6: topic, rhyme and tones are right."""
    return couplet.upper, couplet.lines[7 if couplet.start == 2 else 1]


def of_the_other_couplet(couplet: Couplet, *_: object) -> tuple[str, str]:
    """Line 6 for line 4 and the reverse: topic and rhyme are right, tones are wrong."""
    return couplet.upper, couplet.lines[7 - couplet.start]


def with_places_permuted(couplet: Couplet, _: object, rng: random.Random) -> tuple[str, str]:
    return couplet.upper, "".join(rng.sample(couplet.lower, len(couplet.lower)))


def with_words_permuted(couplet: Couplet, _: object, rng: random.Random) -> tuple[str, str]:
    """The first word of the lower line changes places with another."""
    words = [couplet.lower[start : start + 2] for start in range(0, len(couplet.lower), 2)]
    other = rng.randrange(1, len(words) - 1)
    words[0], words[other] = words[other], words[0]
    return couplet.upper, "".join(words)


def outer_couplets(couplet: Couplet, *_: object) -> tuple[str, str]:
    """Couplets 1 and 4 of the poem: as people wrote them, and mostly not parallel."""
    first = 0 if couplet.start == 2 else 6
    return couplet.lines[first], couplet.lines[first + 1]


FALSE: dict[str, Falsify] = {
    "lower line of another poem": of_another_poem,
    "… with the right tones": partial(of_another_poem, tones=True),
    "… with the same rhyme": partial(of_another_poem, rhyme=True),
    "… with both": partial(of_another_poem, tones=True, rhyme=True),
    "line 8 for 4, line 2 for 6": of_the_outer_couplets,
    "line 6 for 4, line 4 for 6": of_the_other_couplet,
    "its places permuted": with_places_permuted,
    "its words permuted": with_words_permuted,
    "couplets 1 and 4": outer_couplets,
}


def couplets_of(poems: Sequence[Poem], *, regular: bool) -> dict[str, list[Couplet]]:
    """The middle couplets by form; only those of poems whose two have the right tones, if `regular`."""
    found = defaultdict(list)
    for poem in poems:
        if len(poem.lines) == 8:
            both = [Couplet(lines=poem.lines, start=start) for start in (2, 4)]
            if not regular or all(is_regular(couplet.upper, couplet.lower) for couplet in both):
                found[poem.form] += both
    return found


def auc(true: np.ndarray, false: np.ndarray) -> float:
    """The area under the ROC curve: P(true > false) + P(true = false) / 2."""
    order = np.sort(false)
    below = np.searchsorted(order, true, "left") + np.searchsorted(order, true, "right")
    return float(below.mean() / 2 / len(order))


def measure(couplets: Sequence[Couplet]) -> dict[str, float]:
    """The AUC against each kind of false couplet."""
    score = parallelism().score
    rng = random.Random(0)
    true = np.array([score(couplet.upper, couplet.lower) for couplet in couplets])
    found = {}
    for name, falsify in FALSE.items():
        false = [pair for pair in (falsify(couplet, couplets, rng) for couplet in couplets) if pair]
        found[name] = auc(true, np.array([score(*pair) for pair in false]))
    return found


def couplet_scores() -> Result:
    """Sixteen lines scored against one."""
    upper, lower = "无边落木萧萧下", "不尽长江滚滚来"
    scores = parallelism().scores
    value = describe("16 lines of 七言", timed(lambda: scores(upper, [lower] * 16), repeat=500))
    return within(value, "ms", limit=0.2)


def _rhyme(one: str, other: str) -> bool:
    readings = rhyme_book("pingshui").readings
    groups = {reading.group for reading in readings(one[-1])}
    return any(reading.group in groups for reading in readings(other[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.parallelism",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    options = parser.parse_args()
    poems = load(options.corpus, options.split)
    for regular in (True, False):
        for form, couplets in couplets_of(poems, regular=regular).items():
            row = {name: round(value, 3) for name, value in measure(couplets).items()}
            head = {"form": form, "regular": regular, "couplets": len(couplets)}
            print(json.dumps({**head, **row}, ensure_ascii=False), flush=True)


BENCHMARKS: dict[str, Benchmark] = {"couplet-scores": couplet_scores}

if __name__ == "__main__":
    main()
