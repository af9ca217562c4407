"""Choosing among lines: what it costs, and what it does to the verse.

    python -m benchmarks choice
    python -m benchmarks.choice --bundle models/bundles/t5 --corpus runs/corpus --poems runs/choice-t5

The second writes the poems of docs/choice.md and prints its table: 4 keywords of held-out poems of the
validation split each, without choice, with choice among more and more lines, and with parts of the judge
switched off; people's poems stand below. With `--read 5` it prints poems of each way instead, to read.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from models.bundle import open_bundle
from models.choice import LineJudge, Weights
from models.clip import Encoder
from models.guidance import PARALLELISM
from models.poet import Poet
from models.prosody import FORMS, parallelism
from models.prosody.doubling import wrongly_doubled
from models.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to write, as `Poet.compose` takes it."""

    choices: int
    weights: Weights = field(default_factory=Weights)
    parallelism: float | None = PARALLELISM


_ALL = Weights()
WAYS = {
    "1": Way(choices=1),
    "1, couplets unguided": Way(choices=1, parallelism=None),
    "2": Way(choices=2),
    "4": Way(choices=4),
    "8": Way(choices=8),
    "4, likelihood alone": Way(
        choices=4, weights=Weights(keyword=0.0, parallelism=0.0, similarity=0.0, fault=0.0)
    ),
    "4, no likelihood": Way(choices=4, weights=replace(_ALL, likelihood=0.0)),
    "4, no keywords": Way(choices=4, weights=replace(_ALL, keyword=0.0)),
    "4, no similarity": Way(choices=4, weights=replace(_ALL, similarity=0.0)),
    "4, no parallelism": Way(choices=4, weights=replace(_ALL, parallelism=0.0)),
    "4, no faults": Way(choices=4, weights=replace(_ALL, fault=0.0)),
    "4, couplets unguided": Way(choices=4, parallelism=None),
    "8, couplets unguided": Way(choices=8, parallelism=None),
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """A poem, its keywords, and what it took."""

    form: str
    keywords: Sequence[str]
    lines: Sequence[str]
    log_probability: float = 0.0
    similarity: float = 0.0
    milliseconds: float = 0.0
    first_milliseconds: float = 0.0


class Writer:
    """A poet and an encoder on one thread."""

    def __init__(self, bundle: Path) -> None:
        self.poet = Poet.open(open_bundle(bundle, kind="poet"), threads=1)
        encoder = open_bundle(ROOT / "models" / "bundles" / "lite", kind="encoder")
        self.encoder = Encoder.open(encoder, threads=1)

    def write(self, keywords: Sequence[str], form: str, way: Way, seed: int) -> Written:
        """One poem; milliseconds are the processor's."""
        started = time.process_time()
        query = self.encoder.encode_texts(keywords).mean(axis=0)
        query /= np.linalg.norm(query)
        writing = self.poet.compose(
            keywords,
            form=FORMS[form],
            sampling=Sampling(),
            seed=seed,
            line_choices=way.choices,
            parallelism=way.parallelism,
            judge=LineJudge(query=query, encode=self.encoder.encode_texts, weights=way.weights),
        )
        tokens = [next(writing)]
        first_milliseconds = (time.process_time() - started) * 1000
        tokens += writing
        milliseconds = (time.process_time() - started) * 1000
        text, width = "".join(token.text for token in tokens), FORMS[form].characters
        lines = [text[start : start + width] for start in range(0, len(text), width)]
        return Written(
            form=form,
            keywords=keywords,
            lines=lines,
            log_probability=float(np.mean([token.log_probability for token in tokens])),
            similarity=float(self.encoder.encode_texts(["，".join(lines)])[0] @ query),
            milliseconds=milliseconds,
            first_milliseconds=first_milliseconds,
        )


def figures(poems: Sequence[Written]) -> dict[str, float]:
    """What can be counted of a way's poems, without the training split."""
    # Here: the first benchmark of this file runs without what learning needs.
    from models.training.quality.keyword_use import literal_use
    from models.training.quality.variety import distinct_2

    lines = [line for poem in poems for line in poem.lines]
    couplets = [
        parallelism().score(poem.lines[line - 1], poem.lines[line])
        for poem in poems
        for line in FORMS[poem.form].parallel_lines
    ]
    by_form = [[poem.lines for poem in poems if poem.form == form] for form in FORMS]
    return {
        "keywords used": literal_use([poem.lines for poem in poems], [poem.keywords for poem in poems]),
        "nats": -float(np.mean([poem.log_probability for poem in poems])),
        "parallelism": float(np.mean(couplets)) if couplets else 0.0,
        "distinct-2": float(np.mean([distinct_2(own) for own in by_form if own])),
        "doubled": sum(map(wrongly_doubled, lines)) / len(lines),
        "similarity": float(np.mean([poem.similarity for poem in poems])),
        "ms": float(np.mean([poem.milliseconds for poem in poems])),
    }


def choice() -> Result:
    """A 七绝, and its first character, by both poets with more and more choices."""
    times = {(name, choices): _times(name, choices) for name in ("t5", "gpt2") for choices in (1, 2, 4, 8)}
    value, without = times["t5", 4], times["t5", 1]
    return Result(value=value, unit="ms", ratio=without / value, against="no choice (t5)")


def _times(name: str, choices: int) -> float:
    writer = Writer(ROOT / "models" / "bundles" / name)
    seeds = iter(range(10**6))
    first = []

    def write() -> None:
        poem = writer.write(["明月", "江水", "孤舟", "白云"], "qijue", WAYS[str(choices)], next(seeds))
        first.append(poem.first_milliseconds)

    whole = describe(f"{name}, each line of {choices}, 七绝", timed(write, repeat=20))
    describe(f"{name}, each line of {choices}, first character (processor's time)", first)
    return whole


BENCHMARKS: dict[str, Benchmark] = {"choice": choice}


def write_all(
    bundle: Path, prompts: Sequence[Any], ways: dict[str, Way], folder: Path
) -> dict[str, list[Written]]:
    """The poems of each way; those that the folder holds are not written again."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(bundle)
    found = {}
    for name, way in ways.items():
        path = folder / f"{name}.jsonl"
        if not path.exists():
            poems = [writer.write(prompt.keywords, prompt.form.name, way, prompt.index) for prompt in prompts]
            rows = (json.dumps(asdict(poem), ensure_ascii=False) for poem in poems)
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        found[name] = [Written(**json.loads(row)) for row in path.read_text(encoding="utf-8").splitlines()]
    return found


def table(written: dict[str, list[Written]], corpus: Path) -> Iterator[str]:
    """A row for each way, with what only the training split can tell."""
    from models.training.corpus import load
    from models.training.quality.ngrams import NgramModel
    from models.training.quality.originality import Originality

    train = load(corpus, "train")
    ngrams = NgramModel([line for poem in train for line in poem.lines])
    originality = Originality(train)
    for number, (name, poems) in enumerate(written.items()):
        row = figures(poems)
        row["4-gram"] = ngrams.perplexity([line for poem in poems for line in poem.lines])
        row["copied"] = originality.copied_lines([poem.lines for poem in poems])
        if not number:
            yield "| choices | " + " | ".join(row) + " |"
            yield "|---" * (len(row) + 1) + "|"
        yield f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |"


def main() -> None:
    from models.training.corpus import load
    from models.training.evaluate import keyword_sampler
    from models.training.quality.prompts import prompts

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choice",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--keywords", type=Path, default=ROOT / "index_builder" / "data" / "keywords.tsv")
    parser.add_argument("--poems", type=Path, required=True, help="folder to keep the poems in")
    parser.add_argument("--count", type=int, default=25, help="poems of each form")
    parser.add_argument("--way", action="append", choices=WAYS, help="one way; all by default")
    parser.add_argument("--read", type=int, metavar="N", help="print N poems of each form and way instead")
    options = parser.parse_args()
    sampler = keyword_sampler(options.keywords)
    asked = prompts(load(options.corpus, "validation"), sampler, list(FORMS), options.count)
    ways = {name: way for name, way in WAYS.items() if name in (options.way or WAYS)}
    written = write_all(options.bundle, asked, ways, options.poems)
    people = [
        Written(form=prompt.form.name, keywords=prompt.keywords, lines=prompt.person.lines)
        for prompt in asked
    ]
    rows = read({**written, "people": people}, options.read) if options.read else None
    for row in rows or table({**written, "people": people}, options.corpus):
        print(row, flush=True)


def read(written: dict[str, list[Written]], count: int) -> Iterator[str]:
    """The first poems of each form, all ways of one prompt together."""
    for place in range(count * len(FORMS)):
        for name, poems in written.items():
            poem = poems[place]
            if name == next(iter(written)):
                yield f"\n{' '.join(poem.keywords)}"
            marks = [f"{line}{'。' if number % 2 else '，'}" for number, line in enumerate(poem.lines)]
            yield f"{name:>20}  {''.join(marks)}"


if __name__ == "__main__":
    main()
