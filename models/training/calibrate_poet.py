"""Teach a poet's n-gram model which pairs of characters the poet overuses.

    python -m models.training.calibrate_poet --bundle BUNDLE --corpus runs/corpus --out BUNDLE

Dropping unlikely characters and choosing the likelier of several lines sharpen a poet: 何处, 不知 and 春风
come twice as often as in people's verse, and common pairs altogether a fifth more often. The least change of
a distribution that gives a pair its rate back is to divide its odds by how far it is above it (Darroch and
Ratcliff 1972, "Generalized iterative scaling for log-linear models"). So poems are written as a server writes
them, from keywords of the training split, their pairs are counted beside people's, and the n-gram model's
lift of each overused one is lowered by

    strength · log((ours + prior · class) / (people's + prior))

to below nothing where that is what it takes. People's are at the same number of pairs, by form. Most pairs
stand too seldom in some hundred poems to say much of themselves; `class` is ours by people's of all pairs
that people use about as often (the mean of a Poisson rate's posterior where rates of a class are gamma
distributed around the class's; Robbins 1956, "An empirical Bayes approach to statistics"). Nothing is raised.
Each round counts anew, with what the rounds before have lowered.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, open_bundle, with_facts
from models.fusion import FILE, STEP, context_key, read_arrays
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer
from models.training.bundle_perplexity import Scorer
from models.training.corpus import Poem, load
from models.training.evaluate import ENCODER, keyword_sampler
from models.training.fuse_poet import validation_verses, with_arrays
from models.training.quality.prompts import Prompt, prompts
from models.training.quality.writing import LINE_CHOICES, WrittenPoem, write_poems

_PRIOR = 5.0
# Nats of a lift: a pair that is held down further is one that something else brings about, a keyword perhaps.
_LOWEST = -5.0


@dataclass(frozen=True, kw_only=True)
class Overuse:
    """Pairs of characters and by how many nats they come too often; `share` of all that are written is what
    classes of pairs, by how often people use them, exceed people's."""

    nats: Mapping[str, float]
    share: float


def overuse(ours: Mapping[str, Sequence[str]], people: Mapping[str, Sequence[str]]) -> Overuse:
    """By form, lines that were written and lines of people; a form counts by the pairs that we wrote."""
    written, known = Counter[str](), Counter[str]()
    expected: defaultdict[str, float] = defaultdict(float)
    for form, lines in ours.items():
        counted, theirs = pairs(lines), pairs(people[form])
        written += counted
        known += theirs
        scale = counted.total() / theirs.total()
        for pair, count in theirs.items():
            expected[pair] += scale * count
    above, rates = _classes(written, expected, known)
    times = {
        pair: (written[pair] + _PRIOR * rates[_class(known[pair])]) / (count + _PRIOR)
        for pair, count in expected.items()
    }
    return Overuse(
        nats={pair: math.log(rate) for pair, rate in times.items() if rate > 1},
        share=above / written.total(),
    )


def _classes(
    written: Mapping[str, int], expected: Mapping[str, float], known: Mapping[str, int]
) -> tuple[float, dict[int, float]]:
    """How many pairs all classes together are above people's, and each class's rate, ours by people's."""
    ours, theirs = Counter[int](), defaultdict[int, float](float)
    for pair, count in expected.items():
        ours[_class(known[pair])] += written[pair]
        theirs[_class(known[pair])] += count
    above = sum(max(0.0, ours[number] - count) for number, count in theirs.items())
    return above, {number: ours[number] / count for number, count in theirs.items()}


def _class(count: int) -> int:
    """Of pairs that people used so many times: from one power of two to the next."""
    return count.bit_length()


def pairs(lines: Iterable[str]) -> Counter[str]:
    """Neighbouring characters of each line."""
    return Counter(line[place : place + 2] for line in lines for place in range(len(line) - 1))


def lowered(
    arrays: Mapping[str, np.ndarray],
    nats: Mapping[str, float],
    tokenizer: CharacterTokenizer,
    *,
    ngram: float,
) -> tuple[dict[str, np.ndarray], int]:
    """Arrays of a `models.fusion.Fusion` whose lifts of these pairs are so many nats lower, where the n-gram
    model counts to the power `ngram`; and how many of them it knows at all."""
    lifts, found = arrays["lifts"].astype(np.int16), 0
    for pair, excess in nats.items():
        before, last = (tokenizer.id_of(character) for character in pair)
        place = _place(arrays, context_key(len(tokenizer), before), last)
        if place is not None:
            lifts[place] = max(round(_LOWEST / STEP), int(lifts[place]) - round(excess / (ngram * STEP)))
            found += 1
    return {**arrays, "lifts": lifts}, found


def _place(arrays: Mapping[str, np.ndarray], key: int, token: int) -> int | None:
    """Where the lift of a token after a context stands."""
    contexts, starts = arrays["contexts"], arrays["starts"]
    context = int(contexts.searchsorted(np.uint32(key)))
    if context == len(contexts) or contexts[context] != key:
        return None
    start, end = int(starts[context]), int(starts[context + 1])
    matches = np.flatnonzero(arrays["ids"][start:end] == token)
    return start + int(matches[0]) if len(matches) else None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a poet is calibrated: `count` poems of each form in every round, by so many processes."""

    corpus: Path
    keywords: Path
    count: int
    rounds: int
    strength: float
    processes: int


def calibrate(bundle: Bundle, plan: Plan, out: Path) -> Bundle:
    """Write the bundle with lowered lifts to `out`. Raises ValueError for one without an n-gram model."""
    if "fusion" not in bundle.manifest:
        raise ValueError(f"{bundle.name} has no n-gram model (models.training.fuse_poet)")
    training = load(plan.corpus, "train")
    people = _lines_by_form(training)
    forms = [form for form in bundle.manifest["prompt"]["forms"] if form in people]
    asked = prompts(training, keyword_sampler(plan.keywords), forms, plan.count * plan.rounds)
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        size = plan.count * len(forms)
        # Each round has poems of its own, of every form; a small corpus has fewer rounds.
        for turn, start in enumerate(range(0, len(asked), size)):
            these = asked[start : start + size]
            found = overuse(_lines_by_form(_write(bundle, these, plan)), people)
            shares.append(round(found.share, 4))
            bundle, lifted = _lower(bundle, found, plan.strength, Path(scratch) / f"round-{turn}")
        facts = {"pairs": lifted, "share_above_people": shares, "nats": round(_nats(bundle, plan), 4)}
        earlier = bundle.manifest["fusion"].get("calibrated", [])
        fusion = {**bundle.manifest["fusion"], "calibrated": [*earlier, {**facts, **_stated(plan)}]}
        return with_facts(bundle, out, {"fusion": fusion})


def _stated(plan: Plan) -> dict[str, Any]:
    return {
        "measured": f"{plan.rounds} x {plan.count} poems of each form, keywords of the training split",
        "temperature": Sampling().temperature,
        "top_p": Sampling().top_p,
        "strength": plan.strength,
        "command": "python -m models.training.calibrate_poet --bundle B --corpus C --out B "
        f"--count {plan.count} --rounds {plan.rounds} --strength {plan.strength}",
    }


def _lines_by_form(poems: Iterable[Poem | WrittenPoem]) -> dict[str, list[str]]:
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for poem in poems:
        lines[poem.form].extend(poem.lines)
    return lines


def _write(bundle: Bundle, asked: Sequence[Prompt], plan: Plan) -> list[WrittenPoem]:
    """As a server does it by default."""
    return write_poems(
        bundle,
        asked,
        Sampling(),
        line_choices=LINE_CHOICES,
        encoder=ENCODER,
        processes=plan.processes,
    )


def _lower(bundle: Bundle, found: Overuse, strength: float, out: Path) -> tuple[Bundle, int]:
    """The bundle with lowered lifts at `out`, and how many were found there."""
    tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
    nats = {pair: strength * excess for pair, excess in found.nats.items()}
    ngram = float(bundle.manifest["fusion"]["ngram"])
    arrays, lifted = lowered(read_arrays(bundle.file(FILE)), nats, tokenizer, ngram=ngram)
    return with_arrays(bundle, out, arrays, {}), lifted


def _nats(bundle: Bundle, plan: Plan) -> float:
    """Per character of people's poems of the validation split: what lowering costs there."""
    verses = validation_verses(bundle, plan.corpus, plan.keywords)
    return float(np.concatenate([scored.nats.ravel() for scored in Scorer(bundle).score(verses)]).mean())


def told(bundle: Bundle) -> str:
    """What was lowered, for a terminal."""
    stated = bundle.manifest["fusion"]["calibrated"][-1]
    shares = " → ".join(f"{100 * share:.1f} %" for share in stated["share_above_people"])
    return f"{bundle.name}: {stated['pairs']} pairs lowered; above people's: {shares} of what was written"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.calibrate_poet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="a poet's bundle with an n-gram model")
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--out", type=Path, required=True, help="the bundle to write; it may be the same")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    add("--count", type=int, default=400, help="poems of each form in every round")
    add("--rounds", type=int, default=2)
    add(
        "--strength",
        type=float,
        default=1.0,
        help="of what a pair is above people's, how much it is lowered by",
    )
    add("--processes", type=int, default=1, help="that write side by side")
    options = parser.parse_args(arguments)
    plan = Plan(
        corpus=options.corpus,
        keywords=options.keywords,
        count=options.count,
        rounds=options.rounds,
        strength=options.strength,
        processes=options.processes,
    )
    print(told(calibrate(open_bundle(options.bundle, kind="poet"), plan, options.out)))


if __name__ == "__main__":
    main()
