"""Turn a Hugging Face folder of a T5 or GPT2, such as the original work's, into a poet bundle.

    python -m models.training.import_poet --source t5_config --out bundles/t5-original \
        --origin "https://example.org/t5_config" --licence "not stated by its authors"

The folder holds `config.json`, `pytorch_model.bin` or `model.safetensors`, and `vocab.txt`, a token a line.
Prompts are laid out as in the original work where `--template` and the options beside it say nothing else.
The bundle is kept only if it writes what PyTorch writes, id for id. `--precision` is that of
`models.training.export_poet`; an int8 bundle is made of an fp32 one that was so proved, and kept if its
perplexity on poems that the fp32 one wrote is at most 1.01 times as high. See docs/original-checkpoints.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import logging

from models.bundle import Bundle, with_facts
from models.poet import Poet
from models.prompt import PromptTemplate
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.tokenizer import EOS, CharacterTokenizer
from models.training.bundle_perplexity import Verse
from models.training.foreign import (
    UnsuitableCheckpoint,
    check_fp16,
    file_hashes,
    load_model,
    read_vocabulary,
)
from models.training.keywords import read_keywords
from models.training.parity import Asked, Parity, ParityError, check_perplexity, compare_greedy
from models.training.poet_bundle import PRECISIONS, write_int8, write_poet
from models.wishes import OFF

# The original's tokenizer drops the spaces between keywords. It knows quatrains, and no token for a form. Its
# GPT2 read CCPC character by character: lines end as they do there.
_PROMPT = "[CLS]关键词：{keywords}[EOS]"
_FORMS = {"wujue": "", "qijue": ""}
ORIGINAL = {
    "t5": PromptTemplate(prompt=_PROMPT, close="[SEP]", keyword_separator="", forms=_FORMS),
    "gpt2": PromptTemplate(prompt=_PROMPT, line="{line}|", keyword_separator="", forms=_FORMS),
}
# What a checkpoint's own [EOS] is called in a bundle where another token ends its lines.
_OTHER_END = "[END]"
TEXTS = ("prompt", "line", "close", "keyword_separator")


def import_poet(
    source: Path,
    out: Path,
    *,
    origin: str,
    licence: str,
    layout: Mapping[str, Any] | None = None,
    vocabulary: Path | None = None,
    decoder_start: str = "",
    precision: str = "fp16",
) -> tuple[Bundle, PreTrainedModel]:
    """Write the bundle, named as its folder; returns it with the model that it is to equal.

    Args:
        source: the Hugging Face folder.
        out: the bundle's folder.
        origin: where the weights come from, for the manifest; so is `licence`.
        layout: fields of the prompt template, in the checkpoint's tokens; else the original work's.
        vocabulary: else the `vocab.txt` of `source`.
        decoder_start: the token that a T5's lines begin with, where config.json does not say.
        precision: how weights are stored, `fp16` or `fp32`.

    Raises UnsuitableCheckpoint, OSError.
    """
    model = load_model(source)
    if precision == "fp16":
        check_fp16(model)
    config = model.config
    template = _template(model, layout or {})
    renamed = _new_names(template) if config.model_type == "gpt2" else {}
    vocabulary = vocabulary or source / "vocab.txt"
    tokenizer = read_vocabulary(vocabulary, model.get_input_embeddings().num_embeddings, renamed)
    template = _translated(template, renamed)
    _check_vocabulary(template, tokenizer)
    if decoder_start in tokenizer.vocabulary:
        config.decoder_start_token_id = tokenizer.id_of(decoder_start)
    elif decoder_start or (config.model_type == "t5" and config.decoder_start_token_id is None):
        raise UnsuitableCheckpoint(f"no token to begin a line with: decoder start {decoder_start!r}")
    read = {"origin": origin, "files": file_hashes(source, vocabulary), "tokens_renamed": renamed}
    facts = {"licence": licence, "source": read}
    written = {"name": out.name, "template": template, "facts": facts, "precision": precision}
    return write_poet(model, tokenizer, out, **written), model


def _template(model: PreTrainedModel, layout: Mapping[str, Any]) -> PromptTemplate:
    try:
        template = replace(ORIGINAL[model.config.model_type], **layout)
        # A T5, whose places are relative, has no bound of its own.
        places = getattr(model.config, "n_positions", template.max_tokens)
        template = replace(template, max_tokens=min(template.max_tokens, places))
        if not _samples(template):
            raise ValueError("no form")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnsuitableCheckpoint(f"not a prompt template: {error!r}") from error
    return template


def _samples(template: PromptTemplate) -> list[str]:
    """A prompt of each form, with nothing in it but what the template itself writes."""
    return [template.render(["", ""], form=FORMS[name], lines=[""]) for name in template.forms]


def _new_names(template: PromptTemplate) -> dict[str, str]:
    """In a bundle `[EOS]` ends a line: what ends it here is called so, and the other `[EOS]` no longer."""
    end = template.line.format(line="")
    return {} if end == EOS else {end: EOS, EOS: _OTHER_END}


def _translated(template: PromptTemplate, renamed: Mapping[str, str]) -> PromptTemplate:
    if not renamed:
        return template
    token = re.compile("|".join(map(re.escape, renamed)))
    texts = {name: getattr(template, name) for name in TEXTS}
    return replace(
        template, **{name: token.sub(lambda found: renamed[found[0]], text) for name, text in texts.items()}
    )


def _check_vocabulary(template: PromptTemplate, tokenizer: CharacterTokenizer) -> None:
    for text in _samples(template):
        if tokenizer.unk_id in tokenizer.encode(text):
            raise UnsuitableCheckpoint(f"the vocabulary lacks a character of {text!r}")


def check_greedy(bundle: Bundle, model: PreTrainedModel, keywords: Sequence[str], *, prompts: int) -> Parity:
    """Compare greedy poems, `prompts` of each form, with the model's own. Raises ParityError."""
    return compare_greedy(bundle, model, _asked(bundle, keywords, prompts))


def _asked(bundle: Bundle, keywords: Sequence[str], prompts: int) -> list[Asked]:
    rng = random.Random(0)
    forms = [form for name, form in FORMS.items() if name in bundle.manifest["prompt"]["forms"]]
    return [(rng.sample(keywords, form.lines), form) for form in forms * prompts]


def replace_by_int8(bundle: Bundle, keywords: Sequence[str], *, prompts: int) -> float:
    """Put a bundle in fp32 or fp16 into eight bits. Returns the perplexity, over that of the first one.

    Measured on what the first one writes at temperature 1: no other text is at hand that it surely knows.
    Raises ParityError where the ratio is above 1.01; the bundle is then as it was.
    """
    verses = [_sampled(bundle, asked, seed) for seed, asked in enumerate(_asked(bundle, keywords, prompts))]
    with tempfile.TemporaryDirectory(dir=bundle.path.parent) as scratch:
        small = write_int8(bundle, Path(scratch) / "int8")
        ratio = check_perplexity(small, bundle, verses)
        stated = {**small.manifest["precision"], "perplexity_ratio": round(ratio, 5)}
        with_facts(small, bundle.path, {"precision": stated})
    return ratio


def _sampled(bundle: Bundle, asked: Asked, seed: int) -> Verse:
    keywords, form = asked
    poet = Poet.open(bundle)
    lines = [""] * form.lines
    for token in poet.compose(
        keywords,
        form=form,
        sampling=Sampling(temperature=1.0, top_p=1.0, frequency_penalty=0.0),
        seed=seed,
        constraint=poet.constraint(form, Rules(regulated=False)),
        parallelism=None,
        bonus=OFF,
    ):
        lines[token.line] += token.text
    return Verse(form=form, lines=tuple(lines), keywords=tuple(keywords))


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.disable_progress_bar()
    rounded = options.precision == "int8"
    try:
        bundle, model = import_poet(
            options.source,
            options.out,
            origin=options.origin,
            licence=options.licence,
            layout=_layout(options),
            vocabulary=options.vocab,
            decoder_start=options.decoder_start,
            precision="fp32" if rounded else options.precision,
        )
    except (UnsuitableCheckpoint, OSError) as error:
        print(f"{options.source}: {error}", file=sys.stderr)
        return 1
    words = [row.word for row in read_keywords(options.keywords) if row.category]
    try:
        print(f"{options.out}: {check_greedy(bundle, model, words, prompts=options.prompts)}")
        if rounded:
            ratio = replace_by_int8(bundle, words, prompts=options.prompts)
            print(f"int8: {ratio:.4f} times fp32's perplexity")
    except ParityError as error:
        shutil.rmtree(bundle.path)
        print(f"{options.out} is not kept: {error}", file=sys.stderr)
        return 1
    return 0


def _layout(options: argparse.Namespace) -> dict[str, Any]:
    """What the template's file says, and over it what the options say."""
    layout = dict(options.template)
    given = {name: getattr(options, name) for name in (*TEXTS, "max_tokens")}
    layout |= {name: value for name, value in given.items() if value is not None}
    return layout | ({"forms": dict.fromkeys(options.forms, "")} if options.forms else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training.import_poet", description=__doc__)
    add = parser.add_argument
    add("--source", type=Path, required=True, help="the Hugging Face folder")
    add("--out", type=Path, required=True, help="the bundle to write; its folder's name is the poet's")
    add("--origin", required=True, help="where the weights come from, for the manifest")
    add("--licence", required=True, help="under which licence, or that it is not known")
    add("--vocab", type=Path, help="else SOURCE/vocab.txt")
    add("--template", type=_json_object, default={}, help="JSON file with fields of the prompt template")
    for name in TEXTS:
        add(
            f"--{name.replace('_', '-')}",
            help=f"of the template, for instance {getattr(ORIGINAL['t5'], name)!r}",
        )
    add("--precision", choices=PRECISIONS, default="fp16", help="how weights are stored, as in export_poet")
    add("--max-tokens", type=int, help="longest prompt and poem")
    add("--forms", nargs="+", choices=tuple(FORMS), help="that it writes, without a token for them")
    add("--decoder-start", default="", metavar="TOKEN", help="what a T5's lines begin with")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"), help="for the check")
    add("--prompts", type=int, default=4, help="for the check, of each form")
    return parser


def _json_object(path: str) -> dict[str, Any]:
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
