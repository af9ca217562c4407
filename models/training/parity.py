"""A bundle held against the PyTorch model that it came from: id for id, or in eight bits by perplexity."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from models.training.bundle_perplexity import Scorer, Verse, held_out
from models.training.corpus import load
from models.wishes import OFF

Asked = tuple[Sequence[str], Form]
"""Keywords and the form to write."""

# Two sums of the same numbers in another order differ by some 1e-5: nearer than this either may come first.
_TIE = 1e-4
_TOGETHER = 16
_WORSE = 1.01


class ParityError(Exception):
    """An exported model writes something else than the PyTorch model it came from."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How many characters were the same, and in how many of them PyTorch had another one within 1e-4."""

    characters: int
    ties: int

    def __str__(self) -> str:
        ties = f", {self.ties} of them in a tie" if self.ties else ""
        return f"{self.characters} characters equal PyTorch's, id for id{ties}"


def check_greedy(bundle: Bundle, model: PreTrainedModel, corpus: Path, *, prompts: int) -> Parity:
    """Compare greedy poems for keywords of held-out poems, as many of each form. Raises ParityError."""
    forms = [name for name in FORMS if name in bundle.manifest["prompt"]["forms"]]
    poems = [poem for poem in load(corpus, "validation") if poem.form in forms]
    rng = random.Random(0)
    asked = [
        ([rng.choice(words(line)) for line in poem.lines], FORMS[poem.form])
        for poem in held_out(poems, per_form=math.ceil(prompts / len(forms)))
    ]
    return compare_greedy(bundle, model, asked)


def compare_greedy(bundle: Bundle, model: PreTrainedModel, asked: Sequence[Asked]) -> Parity:
    """Let the bundle write greedily, character by character with its cache, and PyTorch read it without one.

    Where PyTorch, given what the bundle wrote before, finds each character the likeliest, it would have
    written the same. Raises ParityError where it finds another one.
    """
    poet, reader = Poet.open(bundle, fused=False, int8=False), _Reader(bundle, model)
    by_form: dict[str, list[Sequence[str]]] = defaultdict(list)
    for keywords, form in asked:
        by_form[form.name].append(keywords)
    characters = ties = 0
    for name, every in by_form.items():
        for start in range(0, len(every), _TOGETHER):
            some = every[start : start + _TOGETHER]
            written = torch.tensor([_greedy(poet, keywords, FORMS[name]) for keywords in some])
            logits = reader.logits(some, FORMS[name], written)
            short = logits.max(dim=-1).values - logits.gather(-1, written[..., None])[..., 0]
            if short.max() > _TIE:
                row = int(short.max(dim=1).values.argmax())
                text = " ".join(some[row])
                theirs = logits[row].argmax(dim=-1).tolist()
                raise ParityError(
                    f"{bundle.name}, {name}, {text}: {written[row].tolist()} instead of {theirs}"
                )
            characters += written.numel()
            ties += int((short > 0).sum())
    return Parity(characters=characters, ties=ties)


def check_perplexity(bundle: Bundle, exact: Bundle, verses: Sequence[Verse]) -> float:
    """A bundle's perplexity in eight bits over one's in fp32, which may be the same bundle.

    Raises ParityError where it is above 1.01.
    """
    difference = mean_nats(bundle, verses, int8=True) - mean_nats(exact, verses, int8=False)
    ratio = math.exp(difference)
    if not ratio <= _WORSE:
        raise ParityError(f"{bundle.name}: its perplexity is {ratio:.4f} times that of fp32")
    return ratio


def mean_nats(bundle: Bundle, verses: Sequence[Verse], *, int8: bool) -> float:
    """Nats per character; `int8` is as in `Poet.open`."""
    scored = Scorer(bundle, fused=False, int8=int8).score(verses)
    every = torch.cat([torch.from_numpy(verse.nats).flatten() for verse in scored])
    return float(every.double().mean())


def _greedy(poet: Poet, keywords: Sequence[str], form: Form) -> list[int]:
    greedy = Sampling(temperature=0.0, frequency_penalty=0.0)
    free = poet.constraint(form, Rules(regulated=False))
    tokens = poet.compose(
        keywords, form=form, sampling=greedy, seed=0, constraint=free, parallelism=None, bonus=OFF
    )
    return [token.id for token in tokens]


class _Reader:
    """The PyTorch model, reading poems with the prompts that a bundle has for them."""

    def __init__(self, bundle: Bundle, model: PreTrainedModel) -> None:
        self.model = model.eval()
        self.tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
        self.template = PromptTemplate.from_manifest(bundle.manifest)

    @torch.no_grad()
    def logits(self, asked: Sequence[Sequence[str]], form: Form, written: torch.Tensor) -> torch.Tensor:
        """Of each character of poems of one form, int64 (N, L * C), given those before: (N, L * C, V)."""
        read = self._t5 if self.model.config.model_type == "t5" else self._gpt2
        lines = written.view(len(written), form.lines, form.characters)
        logits = torch.cat(list(read(asked, form, lines)), dim=1)
        return logits + torch.from_numpy(LengthsOnly(form, self.tokenizer.vocabulary, {}).mask.copy())

    def _gpt2(
        self, asked: Sequence[Sequence[str]], form: Form, lines: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        prompts = [self._prompt(keywords, form, []) for keywords in asked]
        ends = torch.full((*lines.shape[:2], 1), self.tokenizer.eos_id)
        poems = torch.cat([lines, ends], dim=-1).flatten(1)
        read, mask = _padded([prompt + poem for prompt, poem in zip(prompts, poems.tolist(), strict=True)])
        logits = self.model(input_ids=read, attention_mask=mask, use_cache=False).logits
        # What is written at a place is foretold at the place before it.
        kept = [row[len(prompt) - 1 :][: poems.shape[1]] for row, prompt in zip(logits, prompts, strict=True)]
        yield torch.stack(kept).view(*lines.shape[:2], -1, logits.shape[-1])[:, :, :-1].flatten(1, 2)

    def _t5(self, asked: Sequence[Sequence[str]], form: Form, lines: torch.Tensor) -> Iterator[torch.Tensor]:
        start = torch.full((len(lines), 1), self.model.config.decoder_start_token_id)
        for place in range(form.lines):
            before = [[self.tokenizer.decode(line) for line in poem[:place]] for poem in lines.tolist()]
            prompts = [
                self._prompt(keywords, form, done) for keywords, done in zip(asked, before, strict=True)
            ]
            read, mask = _padded(prompts)
            begun = torch.cat([start, lines[:, place, :-1]], dim=1)
            asked_model = {"input_ids": read, "attention_mask": mask, "decoder_input_ids": begun}
            yield self.model(**asked_model, use_cache=False).logits

    def _prompt(self, keywords: Sequence[str], form: Form, lines: Sequence[str]) -> list[int]:
        text = self.template.render(select_keywords(keywords, form), form=form, lines=lines)
        return self.tokenizer.encode(text)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows filled up on the right, and where they are not; both int64 (N, T)."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
