"""Poems as training batches, with prompts as in serving."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from models.prompt import PromptTemplate
from models.prosody import FORMS
from models.tokenizer import EOS, MASK, SEP, CharacterTokenizer
from models.training.corpus import Poem
from models.training.keyword_sampler import KeywordSampler
from models.training.rhymes import rhyme_of
from models.training.subjects import subject_of

IGNORED = -100
# A caller may leave the form open, seldom names a subject, and a rhyme group as often as not.
_DROP_FORM = 0.1
_DROP_RHYME = 0.3
_DROP_SUBJECT = 0.4
# Share of T5 batches that hold the whole poem: the most to learn from for one pass through the encoder.
_FROM_THE_START = 0.5


@dataclass(frozen=True, kw_only=True)
class Example:
    """What the model reads (`source`) and what it is to write (`target`), as token ids.

    `copies` pairs the places, in target and source, of each character of a keyword that the target holds.
    """

    source: list[int]
    target: list[int]
    copies: list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """N examples, padded on the right.

    Attributes:
        input_ids: int64 (N, S), what is read: by the encoder of a T5, by a GPT2 together with the poem.
        mask: int64 (N, S), 1 for a token and 0 for padding.
        labels: int64 (N, T), what is to be written after each place; IGNORED where nothing is learned. For a
            GPT2 the places are those of `input_ids`.
        copies: int64 (K, 3): row, place in `labels` and place in `input_ids` of keywords' characters.
        auxiliary: bool (N, T), the labels that the auxiliary loss counts; all false where it is off.
    """

    input_ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    copies: torch.Tensor
    auxiliary: torch.Tensor

    @property
    def copied(self) -> torch.Tensor:
        """Which labels are a keyword's characters, bool (N, T)."""
        marks = torch.zeros_like(self.labels, dtype=torch.bool)
        marks[self.copies[:, 0], self.copies[:, 1]] = True
        return marks

    def to(self, device: str) -> Batch:
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class ExampleMaker:
    """Turns poems into examples of the T5 recipe or of the GPT2 recipe.

    T5 reads the keywords and the first lines and writes the lines that follow; a poet that serves is stopped
    after one line. Learning the later ones as well makes more of each pass through the encoder.
    GPT2 reads the keywords and writes the whole poem. Control tokens are left out at random.
    """

    def __init__(
        self, arch: str, tokenizer: CharacterTokenizer, template: PromptTemplate, keywords: KeywordSampler
    ):
        self._arch = arch
        self._tokenizer = tokenizer
        self._template = template
        self._keywords = keywords
        self._before_keywords = tokenizer.encode(template.prompt.partition("{keywords}")[0])[-1]

    def batch(
        self, poems: Sequence[Poem], rng: random.Random, *, transplant: bool = False, masking: float = 0.0
    ) -> Batch:
        """Poems of one form as a batch; T5's examples all begin at one line, so that little is padded.

        `masking` is the share of a GPT2's poem that it may not see; its auxiliary loss counts the keywords
        there, and all ends of lines.
        """
        first = 0
        if self._arch == "t5" and rng.random() >= _FROM_THE_START:
            first = rng.randrange(len(poems[0].lines))
        examples = []
        for poem in poems:
            if transplant:
                examples.append(self.example(*self._keywords.transplant(poem, rng), rng, first=first))
            else:
                examples.append(self.example(poem, self._keywords.draw(poem, rng), rng, first=first))
        batch = collate(self._arch, examples, self._tokenizer.pad_id)
        return self._masked(batch, masking, rng) if masking else batch

    def _masked(self, batch: Batch, share: float, rng: random.Random) -> Batch:
        """Hide characters of the poems from a GPT2, which still has to write them."""
        ends = batch.labels == self._tokenizer.eos_id
        shown = (batch.labels != IGNORED) & ~ends & (batch.labels != self._tokenizer.sep_id)
        drawn = torch.rand(shown.shape, generator=torch.Generator().manual_seed(rng.getrandbits(32)))
        hidden = shown & (drawn < share)
        # What is written after place t is read at t + 1.
        ids = batch.input_ids.clone()
        ids[:, 1:][hidden[:, :-1]] = self._tokenizer.id_of(MASK)
        return replace(batch, input_ids=ids, auxiliary=(hidden & batch.copied) | ends)

    def example(self, poem: Poem, keywords: Sequence[str], rng: random.Random, *, first: int = 0) -> Example:
        """One example; the lines before `first` are given."""
        prompt = self._template.render(
            keywords,
            form=None if rng.random() < _DROP_FORM else FORMS[poem.form],
            rhyme=None if rng.random() < _DROP_RHYME else rhyme_of(poem.lines),
            subject=None if rng.random() < _DROP_SUBJECT else subject_of(poem.title),
            lines=poem.lines[:first],
        )
        source = self._tokenizer.encode(prompt)
        text = EOS.join(poem.lines[first:]) + (EOS if self._arch == "t5" else SEP)
        target = self._tokenizer.encode(text)
        return Example(source=source, target=target, copies=self._copies(source, target, keywords))

    def _copies(self, source: list[int], target: list[int], keywords: Sequence[str]) -> list[tuple[int, int]]:
        start = source.index(self._before_keywords) + 1
        given = source[start : source.index(self._tokenizer.eos_id, start)]
        found: dict[int, int] = {}
        for keyword in keywords:
            ids = self._tokenizer.encode(keyword)
            there, here = _find(target, ids), _find(given, ids)
            if there >= 0 and here >= 0:
                found |= {there + i: start + here + i for i in range(len(ids))}
        return sorted(found.items())


def _find(ids: list[int], part: list[int]) -> int:
    """The first place of `part` in `ids`, or -1."""
    places = range(len(ids) - len(part) + 1)
    return next((start for start in places if ids[start : start + len(part)] == part), -1)


def batches(poems: Sequence[Poem], size: int, rng: random.Random) -> list[list[Poem]]:
    """One pass over the poems in random order.

    A batch holds `size` quatrains, or half as many poems of eight lines, of one form: little is padded.
    """
    by_form: dict[str, list[Poem]] = defaultdict(list)
    for poem in poems:
        by_form[poem.form].append(poem)
    grouped = []
    for form, group in by_form.items():
        own = max(1, size * 4 // FORMS[form].lines)
        rng.shuffle(group)
        grouped += [group[start : start + own] for start in range(0, len(group), own)]
    rng.shuffle(grouped)
    return grouped


def collate(arch: str, examples: Sequence[Example], pad_id: int) -> Batch:
    """Pad examples to a batch."""
    if arch == "t5":
        read, written, offsets = (
            [e.source for e in examples],
            [e.target for e in examples],
            [0] * len(examples),
        )
    else:
        # What is written after place t of the whole is the token at t + 1.
        read = [[*e.source, *e.target[:-1]] for e in examples]
        offsets = [len(e.source) - 1 for e in examples]
        written = [[IGNORED] * offset + e.target for e, offset in zip(examples, offsets, strict=True)]
    copies = [
        (row, offsets[row] + there, here)
        for row, example in enumerate(examples)
        for there, here in example.copies
    ]
    labels = _pad(written, IGNORED)
    return Batch(
        input_ids=_pad(read, pad_id),
        mask=_pad([[1] * len(row) for row in read], 0),
        labels=labels,
        auxiliary=torch.zeros_like(labels, dtype=torch.bool),
        copies=torch.tensor(copies, dtype=torch.int64).reshape(-1, 3),
    )


def _pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])
