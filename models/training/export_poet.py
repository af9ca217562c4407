"""Turn a trained run into a poet bundle for ONNX Runtime, and prove that nothing changed.

    python -m models.training.export_poet --run runs/gpt2 --corpus runs/corpus --out models/bundles/gpt2

--precision says how the weights are stored:

    fp16  rounded to fp16, and computed with in fp32 (the default)
    fp32  as they were trained
    int8  in eight bits alone: products are computed in eight bits, all else in fp32

Of the first two, greedy poems written with the cache are compared, id for id, with PyTorch without one; then
they get graphs that compute in eight bits (`models.training.round_poet`). int8 is made from an fp32 bundle
that passed. Either way the perplexity of eight bits on held-out poems, both read through ONNX Runtime, may be
at most 1.01 times that of fp32. A bundle that fails is not written. One that passed gets an n-gram model of
the training split (`models.training.fuse_poet`); last, it is evaluated on the test split, and the figures go
into the manifest.

fp16 and fp32 bundles hold the PyTorch weights: transformers opens the folder, and `models.training.train`
goes on from it with `--init`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import logging

from models.bundle import Bundle, open_bundle, sha256_of, with_facts
from models.prompt import PromptTemplate
from models.tokenizer import CharacterTokenizer
from models.training.bundle_weights import is_bundle
from models.training.checkpoint import load_weights
from models.training.config import PLACES, TrainingConfig
from models.training.corpus import load
from models.training.dataset import ExampleMaker
from models.training.evaluate import evaluate, keyword_sampler
from models.training.fuse_poet import fuse, told
from models.training.parity import ParityError, check_greedy
from models.training.poet_bundle import PRECISIONS, with_int8, write_int8, write_poet
from models.training.round_poet import rounded
from models.training.validation import validate

_LICENCE = "Apache-2.0; trained from scratch on poems of the npm package chinese-poetry (MIT)"
_CORPUS = "npm chinese-poetry 2.0.1, by models.training.corpus"


def export(
    run: Path, corpus: Path, keywords: Path, scratch: Path, *, precision: str, prompts: int
) -> tuple[Bundle, PreTrainedModel, CharacterTokenizer]:
    """A run's bundle, proved, in a folder below `scratch`; and the run's model. Raises ParityError."""
    model, tokenizer, training = load_weights(run)
    facts = _facts(run, training, corpus, keywords)
    bundle = write_poet(
        model,
        tokenizer,
        scratch / "exact",
        name=training.get("name", training["arch"]),
        template=PromptTemplate(**training["prompt"]),
        facts=facts,
        precision="fp32" if precision == "int8" else precision,
    )
    print(f"{check_greedy(bundle, model, corpus, prompts=prompts)} ({prompts} prompts)")
    make = write_int8 if precision == "int8" else with_int8
    return rounded(bundle, corpus, keywords, scratch / "rounded", make=make), model, tokenizer


def _facts(run: Path, training: dict, corpus: Path, keywords: Path) -> dict[str, Any]:
    """What the manifest says besides the model itself. A bundle in the place of a run says it already."""
    if is_bundle(run):
        told = open_bundle(run, kind="poet").manifest
        return {name: told[name] for name in ("licence", "training", "source") if name in told}
    described = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    return {
        "licence": _licence(described),
        "training": _training_facts(training, described, corpus, keywords),
    }


def _licence(corpus: Mapping[str, Any]) -> str:
    """What may be done with the weights, as far as the poems' own licence tells (corpus.json)."""
    return f"of the poems: {corpus['licence']}" if "licence" in corpus else _LICENCE


def _training_facts(run: dict, corpus: dict, folder: Path, keywords: Path) -> dict:
    """What the manifest says of a run: its command, where it ended, and what it read, by content."""
    settings = {name: value for name, value in run.items() if name not in (*PLACES, "prompt")}
    known = {field.name for field in fields(TrainingConfig)}
    config = TrainingConfig(**{name: value for name, value in run.items() if name in known})
    return {
        "command": config.command(),
        "corpus": "own poems, by models.training.own_poems" if "licence" in corpus else _CORPUS,
        "corpus_sha256": sha256_of(folder / "train.jsonl"),
        "keywords_sha256": sha256_of(keywords),
        # A run that says what it read itself, knows it better.
        **settings,
    }


def figures(
    bundle: Bundle, model: PreTrainedModel, tokenizer: CharacterTokenizer, corpus: Path, keywords: Path
) -> dict[str, Any]:
    """What the test split says of a bundle."""
    measured, _ = evaluate(bundle, corpus, keywords, count=200)
    template = PromptTemplate.from_manifest(bundle.manifest)
    maker = ExampleMaker(model.config.model_type, tokenizer, template, keyword_sampler(keywords))
    poems = load(corpus, "test")
    held = validate(model, maker, random.Random(0).sample(poems, min(1000, len(poems))))
    return {
        "nats_per_token": round(held.loss, 4),
        "keyword_accuracy": round(held.keyword_accuracy, 4),
        **measured,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.disable_progress_bar()
    corpus, keywords = options.corpus, options.keywords
    with tempfile.TemporaryDirectory() as scratch:
        try:
            bundle, model, tokenizer = export(
                options.run,
                corpus,
                keywords,
                Path(scratch),
                precision=options.precision,
                prompts=options.prompts,
            )
        except ParityError as error:
            print(f"{options.out} is not written: {error}", file=sys.stderr)
            return 1
        if not options.no_fusion:
            bundle = fuse(bundle, corpus, keywords, Path(scratch) / "fused")
            print(told(bundle))
        found = {} if options.no_evaluation else figures(bundle, model, tokenizer, corpus, keywords)
        facts = {"evaluation": found} if found else {}
        bundle = with_facts(bundle, options.out, facts)
    size = sum(path.stat().st_size for path in bundle.files.values())
    print(f"{bundle.path}: {size / 1e6:.1f} MB")
    print(json.dumps(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.export_poet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a training run, or a bundle in fp16 or fp32")
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--out", type=Path, required=True, help="the bundle to write")
    add("--precision", choices=PRECISIONS, default="fp16", help="how weights are stored; see above")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    add("--prompts", type=int, default=200, help="held-out prompts for the parity check")
    add("--no-fusion", action="store_true", help="leave out the n-gram model (models.training.fuse_poet)")
    add("--no-evaluation", action="store_true", help="leave out the figures of the test split")
    return parser


if __name__ == "__main__":
    sys.exit(main())
