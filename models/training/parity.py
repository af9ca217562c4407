"""Greedy decoding of a bundle, held id for id against PyTorch without a cache."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from models.bundle import Bundle
from models.poet import Poet
from models.prompt import PromptTemplate, select_keywords
from models.prosody import FORMS, Form, LengthsOnly, Rules
from models.prosody.rhythm import words
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer
from models.training.corpus import load


class ParityError(Exception):
    """An exported model writes something else than the PyTorch model it came from."""


def check_greedy(bundle: Bundle, model: PreTrainedModel, corpus: Path, *, prompts: int) -> int:
    """Compare greedy poems for keywords of held-out poems. Returns the number of characters compared.

    Raises ParityError at the first difference.
    """
    poet = Poet.open(bundle)
    rng = random.Random(0)
    poems = [poem for poem in load(corpus, "validation") if poem.form in poet.forms]
    compared = 0
    for poem in rng.sample(poems, prompts):
        keywords = [rng.choice(words(line)) for line in poem.lines]
        compared += compare_greedy(poet, bundle, model, keywords, FORMS[poem.form])
    return compared


def compare_greedy(
    poet: Poet, bundle: Bundle, model: PreTrainedModel, keywords: Sequence[str], form: Form
) -> int:
    """As `check_greedy`, for one prompt."""
    greedy = Sampling(temperature=0.0, frequency_penalty=0.0)
    free = poet.constraint(form, Rules(regulated=False))
    tokens = poet.compose(keywords, form=form, sampling=greedy, seed=0, constraint=free, couplet_choices=1)
    ours = [token.id for token in tokens]
    theirs = torch_greedy(bundle, model, keywords, form)
    if ours != theirs:
        raise ParityError(f"{bundle.name}, {form.chinese}, {' '.join(keywords)}: {ours} instead of {theirs}")
    return len(ours)


@torch.no_grad()
def torch_greedy(bundle: Bundle, model: PreTrainedModel, keywords: Sequence[str], form: Form) -> list[int]:
    """The poem's token ids by the transformers model itself, the whole sequence read anew for each token."""
    tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
    template = PromptTemplate.from_manifest(bundle.manifest)
    weights = torch.from_numpy(LengthsOnly(form, tokenizer.vocabulary, {}).mask.copy())
    chosen = select_keywords(keywords, form)
    lines: list[str] = []
    ids: list[int] = []
    for _ in range(form.lines):
        prompt = torch.tensor([tokenizer.encode(template.render(chosen, form=form, lines=lines))])
        line: list[int] = []
        for _ in range(form.characters):
            logits = _next_logits(model, prompt, line)
            line.append(int((logits + weights).argmax()))
        lines.append(tokenizer.decode(line))
        ids += line
    return ids


def _next_logits(model: PreTrainedModel, prompt: torch.Tensor, line: list[int]) -> torch.Tensor:
    written = torch.tensor([line], dtype=torch.int64)
    if model.config.model_type == "gpt2":
        return model(input_ids=torch.cat([prompt, written], dim=1), use_cache=False).logits[0, -1]
    start = torch.tensor([[model.config.decoder_start_token_id]])
    decoder_ids = torch.cat([start, written], dim=1)
    return model(input_ids=prompt, decoder_input_ids=decoder_ids, use_cache=False).logits[0, -1]
