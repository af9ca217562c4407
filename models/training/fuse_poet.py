"""Give a poet's bundle an n-gram model of the verse that it learned from.

    python -m models.training.fuse_poet --bundle BUNDLE --corpus runs/corpus --out BUNDLE

Pairs and triples of characters are counted in the training split; how much they count beside the poet is what
predicts the validation split best (`models/fusion.py`). Both go into the bundle, with what they gain.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, open_bundle, sha256_of, write_bundle
from models.fusion import FILE, Fusion
from models.sampling import log_probabilities_of
from models.training.bundle_perplexity import Scorer, Verse, held_out, verse_of
from models.training.corpus import load
from models.training.evaluate import keyword_sampler
from models.training.ngram_arrays import ngram_arrays

POET = (0.7, 0.8, 0.9, 1.0)
NGRAM = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Poems of each form that the powers are chosen on.
_PER_FORM = 50


@dataclass(frozen=True, kw_only=True)
class Powers:
    """How much the poet and the n-gram model count; `nats` per character is what they leave."""

    poet: float
    ngram: float
    nats: float


def measure(scorer: Scorer, arrays: Mapping[str, np.ndarray], verses: Sequence[Verse]) -> list[Powers]:
    """Every pair of `POET` and `NGRAM`; the poet alone, 1 and 0, is one of them."""
    # With powers of 0 and 1 nothing is left of the logits but the n-gram model's own.
    alone = Fusion(arrays, poet=0.0, ngram=1.0, line_start=scorer.tokenizer.eos_id)
    totals = dict.fromkeys(product(POET, NGRAM), 0.0)
    characters = 0
    for places in scorer.groups(verses):
        for _, position, logits, ids in scorer.predictions([verses[place] for place in places]):
            counted = np.zeros_like(logits)
            alone.fuse(counted, ids[:, :position].tolist())
            characters += len(ids)
            for poet, ngram in totals:
                mixed = poet * logits + ngram * counted
                totals[poet, ngram] -= float(log_probabilities_of(mixed, ids[:, position]).sum())
    return [Powers(poet=poet, ngram=ngram, nats=nats / characters) for (poet, ngram), nats in totals.items()]


def fuse(bundle: Bundle, corpus: Path, keywords: Path, out: Path) -> Bundle:
    """Write the bundle, with its n-gram model in it, to `out`; one that it had is replaced."""
    scorer = Scorer(bundle, fused=False)
    lines = [line for poem in load(corpus, "train") for line in poem.lines]
    arrays = ngram_arrays(lines, scorer.tokenizer)
    verses = validation_verses(bundle, corpus, keywords)
    found = measure(scorer, arrays, verses)
    best = min(found, key=lambda powers: powers.nats)
    [before] = [powers for powers in found if (powers.poet, powers.ngram) == (1.0, 0.0)]
    stated = {
        "file": FILE,
        "poet": best.poet,
        "ngram": best.ngram,
        "nats": {"alone": round(before.nats, 4), "fused": round(best.nats, 4)},
        "measured": f"validation split, {len(verses)} poems, per character",
        "corpus_sha256": sha256_of(corpus / "train.jsonl"),
        "command": "python -m models.training.fuse_poet --bundle B --corpus C --out B",
    }
    return with_arrays(bundle, out, arrays, {"fusion": stated})


def validation_verses(bundle: Bundle, corpus: Path, keywords: Path) -> list[Verse]:
    """People's poems of the bundle's forms, a few of each, to measure an n-gram model by."""
    sampler = keyword_sampler(keywords)
    forms = bundle.manifest["prompt"]["forms"]
    poems = [poem for poem in load(corpus, "validation") if poem.form in forms]
    return [verse_of(poem, sampler) for poem in held_out(poems, per_form=_PER_FORM)]


def with_arrays(
    bundle: Bundle, out: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
) -> Bundle:
    """Write the bundle to `out` with these arrays for its n-gram model, and more entries in the manifest."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / FILE
        np.savez_compressed(path, **arrays)
        files = bundle.files | {FILE: path}
        return write_bundle(out, {**bundle.manifest, **facts}, files)


def told(bundle: Bundle) -> str:
    """What a bundle's n-gram model brings, for a terminal."""
    fusion = bundle.manifest["fusion"]
    return (
        f"{bundle.name}: poet {fusion['poet']}, n-gram model {fusion['ngram']}; "
        f"{fusion['nats']['alone']} nats a character alone, {fusion['nats']['fused']} fused"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.fuse_poet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="a poet's bundle")
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--out", type=Path, required=True, help="the bundle to write; it may be the same")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    options = parser.parse_args(arguments)
    bundle = open_bundle(options.bundle, kind="poet")
    print(told(fuse(bundle, options.corpus, options.keywords, options.out)))


if __name__ == "__main__":
    main()
