"""How good a poet is, on held-out poems it never saw.

    python -m models.training.evaluate --bundle models/bundles/gpt2 --corpus runs/corpus

prints a JSON object and a dozen poems to read. Everything is sampled with fixed seeds from keywords of the
test split.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.bundle import Bundle, open_bundle
from models.engine import open_engine
from models.poet import Poet
from models.prompt import PromptTemplate, select_keywords
from models.prosody import FORMS, Form
from models.sampling import Sampling, draw, generator_of
from models.tokenizer import EOS, SEP, CharacterTokenizer
from models.training.corpus import Poem, load
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import read_keywords

Prompt = tuple[list[str], Form]


def keyword_sampler(keyword_list: Path) -> KeywordSampler:
    """Draws keywords of held-out poems; weighted as for a corpus of about the training split's size."""
    return KeywordSampler(read_keywords(keyword_list), 200_000)


def prompts_from(
    poems: Sequence[Poem], keywords: KeywordSampler, forms: Sequence[str], count: int
) -> list[Prompt]:
    """Keywords and form of `count` held-out poems."""
    rng = random.Random(0)
    chosen = rng.sample([poem for poem in poems if poem.form in forms], count)
    return [(keywords.draw(poem, rng), FORMS[poem.form]) for poem in chosen]


def compose(poet: Poet, prompt: Prompt, *, seed: int) -> list[str]:
    """One poem as the server writes it."""
    words, form = prompt
    lines = [""] * form.lines
    for token in poet.compose(words, form=form, sampling=Sampling(), seed=seed):
        lines[token.line] += token.text
    return lines


def keyword_use(poems: Sequence[Sequence[str]], prompts: Sequence[Prompt]) -> float:
    """Share of the prompts' keywords that appear literally."""
    used = [
        word in "".join(lines) for lines, (words, _) in zip(poems, prompts, strict=True) for word in words
    ]
    return sum(used) / len(used)


def distinct_2(poems: Sequence[Sequence[str]]) -> float:
    """Different character bigrams inside lines, as a share of all of them."""
    bigrams = [line[i : i + 2] for lines in poems for line in lines for i in range(len(line) - 1)]
    return len(set(bigrams)) / len(bigrams)


def format_accuracy(bundle: Bundle, prompts: Sequence[Prompt]) -> float:
    """Share of lines (T5) or whole poems (GPT2) with the right lengths when nothing constrains the poet."""
    engine = open_engine(bundle)
    tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
    template = PromptTemplate.from_manifest(bundle.manifest)
    free = np.zeros(len(tokenizer), dtype=np.float32)
    good = 0
    for seed, (words, form) in enumerate(prompts):
        generators = [generator_of(seed, 0)]
        ids = tokenizer.encode(template.render(select_keywords(words, form), form=form))
        decoding = engine.begin([ids])
        written: list[int] = []
        for _ in range((form.characters + 1) * form.lines + 2):
            [index], _ = draw(decoding.logits, free, Sampling(), generators)
            written.append(int(index))
            if tokenizer.vocabulary[index] == SEP:
                break
            decoding.step(np.array([[index]]))
        good += _is_well_formed(written, tokenizer, form, whole=bundle.manifest["architecture"] != "t5")
    return good / len(prompts)


def _is_well_formed(ids: list[int], tokenizer: CharacterTokenizer, form: Form, *, whole: bool) -> bool:
    text = tokenizer.decode(ids)
    first, _, _ = text.partition(EOS)
    if not whole:
        return len(first) == form.characters
    lines = text.removesuffix(SEP).split(EOS)
    return text.endswith(SEP) and [len(line) for line in lines] == [form.characters] * form.lines


def evaluate(bundle: Bundle, corpus: Path, keyword_list: Path, *, count: int) -> tuple[dict, list[list[str]]]:
    """The figures, and the poems that they were counted on."""
    poems = load(corpus, "test")
    keywords = keyword_sampler(keyword_list)
    poet = Poet.open(bundle)
    prompts = prompts_from(poems, keywords, poet.forms, count)
    written = [compose(poet, prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    figures = {
        "prompts": count,
        "split": "test",
        "format_accuracy_unconstrained": format_accuracy(bundle, prompts),
        "literal_keyword_use": keyword_use(written, prompts),
        "distinct_2": distinct_2(written),
    }
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in figures.items()}, written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    parser.add_argument("--count", type=int, default=200, help="poems to write")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle, kind="poet")
    figures, written = evaluate(bundle, options.corpus, options.keywords, count=options.count)
    print(json.dumps(figures, ensure_ascii=False))
    for lines in written[:12]:
        print("，".join(lines) + "。")


if __name__ == "__main__":
    main()
