"""What the rules do to a poet's verse: conformity, cost in likelihood, variety, and how lines end.

    python -m models.training.evaluate_rules --bundle models/bundles/gpt2 --corpus runs/corpus --out a.json

Keywords come from held-out poems (test split), every set for every form that the poet writes. The same sets
are written with the rules, in 律诗 also without the guidance to parallel lines, and without rules; people's
poems of the same split stand beside them.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from models.bundle import open_bundle
from models.guidance import PARALLELISM
from models.poet import Poet
from models.prosody import FORMS, Form, Rules, parallelism
from models.prosody.checker import check
from models.sampling import Sampling
from models.training.corpus import Poem, load
from models.training.evaluate import keyword_sampler
from models.training.keyword_sampler import KeywordSampler
from models.training.quality.variety import distinct_2

# distinct-2 falls as more poems are counted together: it is always taken over this many.
_DISTINCT_POEMS = 250


@dataclass(frozen=True, kw_only=True)
class Written:
    """A poem, and the log probabilities (natural, under the model alone) of its characters."""

    form: str
    lines: tuple[str, ...]
    log_probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to write; `parallelism` as in Poet.compose."""

    rules: Rules
    parallelism: float | None = PARALLELISM


WAYS = {
    "regulated": Way(rules=Rules()),
    "unguided": Way(rules=Rules(), parallelism=None),
    "free": Way(rules=Rules(regulated=False)),
}


def write(
    poet: Poet, keywords: Sequence[str], form: Form, way: Way, sampling: Sampling, seed: int
) -> Written:
    """One poem."""
    lines = [""] * form.lines
    log_probabilities = []
    for token in poet.compose(
        keywords,
        form=form,
        sampling=sampling,
        seed=seed,
        constraint=poet.constraint(form, way.rules),
        parallelism=way.parallelism,
    ):
        lines[token.line] += token.text
        log_probabilities.append(token.log_probability)
    return Written(form=form.name, lines=tuple(lines), log_probabilities=tuple(log_probabilities))


def keyword_sets(poems: Sequence[Poem], sampler: KeywordSampler, count: int) -> list[list[str]]:
    """The keywords of `count` held-out poems."""
    rng = random.Random(0)
    return [sampler.draw(poem, rng) for poem in rng.sample(list(poems), count)]


def figures(poems: Sequence[Written | Poem], ending_counts: Counter[str]) -> dict[str, float]:
    """What can be counted of any poems, people's or ours."""
    reports = [check("\n".join(poem.lines), form=FORMS[poem.form]) for poem in poems]
    endings = [line[-2:] for poem in poems for line in poem.lines]
    couplets = [
        parallelism().score(poem.lines[line - 1], poem.lines[line])
        for poem in poems
        for line in FORMS[poem.form].parallel_lines
    ]
    values = {
        "conforms": _share(report.conforms for report in reports),
        "conforms_resolved": _share(report.conforms_resolved for report in reports),
        "distinct_2": distinct_2([poem.lines for poem in poems[:_DISTINCT_POEMS]]),
        "known_endings": _share(ending_counts[ending] > 1 for ending in endings),
    }
    return values | ({"parallelism": float(np.mean(couplets))} if couplets else {})


def perplexity(poems: Sequence[Written]) -> float:
    """e to the mean negative log probability of a character."""
    return math.exp(-float(np.mean([value for poem in poems for value in poem.log_probabilities])))


def evaluate(
    poet: Poet,
    sets: Sequence[Sequence[str]],
    people: Sequence[Poem],
    ending_counts: Counter[str],
    sampling: Sampling,
) -> dict[str, dict[str, dict[str, float]]]:
    """By form: each way of writing, and people's."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name in poet.forms:
        form, rows = FORMS[name], {}
        for label, way in WAYS.items():
            if label == "unguided" and not form.parallel_lines:
                continue
            poems = [
                write(poet, keywords, form, way, sampling, seed)
                for seed, keywords in enumerate(tqdm(sets, desc=f"{name} {label}", leave=False))
            ]
            rows[label] = {"perplexity": perplexity(poems), **figures(poems, ending_counts)}
        rows["people"] = figures([poem for poem in people if poem.form == name], ending_counts)
        table[name] = rows
    return table


def _share(values: Iterable[bool]) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate_rules", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    parser.add_argument("--sets", type=int, default=250, help="keyword sets, each written in every form")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=Sampling().top_p)
    parser.add_argument("--out", type=Path, help="write the table here too, as JSON")
    options = parser.parse_args()
    people = load(options.corpus, "test")
    ending_counts = Counter(line[-2:] for poem in load(options.corpus, "train") for line in poem.lines)
    table = evaluate(
        Poet.open(open_bundle(options.bundle, kind="poet")),
        keyword_sets(people, keyword_sampler(options.keywords), options.sets),
        people,
        ending_counts,
        Sampling(temperature=options.temperature, top_p=options.top_p),
    )
    for form, rows in table.items():
        for label, values in rows.items():
            print(f"{form} {label:10}", " ".join(f"{name} {value:.4g}" for name, value in values.items()))
    if options.out:
        options.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
