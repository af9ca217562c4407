"""Poems as training batches: keywords drawn anew at each visit, prompts as in serving."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from models.prompt import PromptTemplate
from models.prosody import FORMS
from models.prosody.rhythm import words
from models.tokenizer import EOS, SEP, SPECIAL_TOKENS, CharacterTokenizer
from models.training.architectures import IGNORED
from models.training.corpus import Poem
from models.training.keywords import MinedWord

# A caller may leave the form open.
_DROP_FORM = 0.1
# Share of T5 examples that hold the whole poem: the most to learn from for one pass through the encoder.
_FROM_THE_START = 0.5
_VISUAL_WEIGHT = 2.0
_SINGLE_WEIGHT = 0.3


def build_tokenizer(poems: Iterable[Poem], template: PromptTemplate, *, least: int = 5) -> CharacterTokenizer:
    """Special tokens, control tokens, the prompt's own characters, then characters by frequency."""
    counts: Counter[str] = Counter()
    for poem in poems:
        counts.update(poem.text)
    own = [c for c in dict.fromkeys("关键词：" + template.keyword_separator) if counts[c] < least]
    characters = [c for c, count in counts.most_common() if count >= least]
    return CharacterTokenizer([*SPECIAL_TOKENS, *template.forms.values(), *own, *characters])


class KeywordSampler:
    """Draws the keywords of a poem: at most one a line, rarer and visual words more often (TF-IDF)."""

    def __init__(self, mined: Sequence[MinedWord], poems: int) -> None:
        self._weights = {row.word: self._weight(row, poems) for row in mined}

    def draw(self, poem: Poem, rng: random.Random) -> list[str]:
        """One to as many keywords as there are lines, in random order."""
        lines = rng.sample(poem.lines, k=rng.randint(1, len(poem.lines)))
        drawn = (self._draw_from(line, rng) for line in lines)
        return list(dict.fromkeys(word for word in drawn if word))

    def _draw_from(self, line: str, rng: random.Random) -> str | None:
        candidates = [word for word in (*words(line), *line) if word in self._weights]
        if not candidates:
            return None
        return rng.choices(candidates, weights=[self._weights[word] for word in candidates])[0]

    @staticmethod
    def _weight(row: MinedWord, poems: int) -> float:
        weight = max(0.5, math.log(poems / row.count))
        if row.category:
            weight *= _VISUAL_WEIGHT
        return weight * (_SINGLE_WEIGHT if len(row.word) == 1 else 1.0)


def quatrains(poems: Iterable[Poem]) -> list[Poem]:
    """The 绝句, and each 五律 as two 五绝: too few 五绝 are left to learn five-character lines from."""
    found = []
    for poem in poems:
        if len(poem.lines) == 4:
            found.append(poem)
        elif poem.form == "wulv":
            found += [replace(poem, form="wujue", lines=part) for part in (poem.lines[:4], poem.lines[4:])]
    return found


@dataclass(frozen=True, kw_only=True)
class Example:
    """What the model reads (`source`) and what it is to write (`target`), as token ids."""

    source: list[int]
    target: list[int]


class ExampleMaker:
    """Turns a poem into an example of the T5 recipe or of the GPT2 recipe.

    T5 reads the keywords and the first lines and writes the lines that follow; a poet that serves is stopped
    after one line. Learning the later ones as well makes more of each pass through the encoder.
    GPT2 reads the keywords and writes the whole poem.
    """

    def __init__(
        self, arch: str, tokenizer: CharacterTokenizer, template: PromptTemplate, keywords: KeywordSampler
    ):
        self._arch = arch
        self._tokenizer = tokenizer
        self._template = template
        self._keywords = keywords

    def make(self, poem: Poem, rng: random.Random) -> Example:
        form = FORMS[poem.form] if rng.random() >= _DROP_FORM else None
        keywords = self._keywords.draw(poem, rng)
        if self._arch == "t5":
            place = 0 if rng.random() < _FROM_THE_START else rng.randrange(len(poem.lines))
            source = self._template.render(keywords, form=form, lines=poem.lines[:place])
            target = EOS.join(poem.lines[place:]) + EOS
        else:
            source = self._template.render(keywords, form=form)
            target = EOS.join(poem.lines) + SEP
        return Example(source=self._tokenizer.encode(source), target=self._tokenizer.encode(target))


def batches(poems: Sequence[Poem], size: int, rng: random.Random) -> Iterator[list[Poem]]:
    """One pass over the poems in random order; a batch holds one form, so that little is padded."""
    by_form: dict[str, list[Poem]] = defaultdict(list)
    for poem in poems:
        by_form[poem.form].append(poem)
    grouped = []
    for group in by_form.values():
        rng.shuffle(group)
        grouped += [group[start : start + size] for start in range(0, len(group), size)]
    rng.shuffle(grouped)
    yield from grouped


def collate(arch: str, examples: Sequence[Example], pad_id: int) -> dict[str, torch.Tensor]:
    """Arguments for the transformers model: int64 tensors (N, T), padded on the right."""
    if arch == "t5":
        sources, targets = [e.source for e in examples], [e.target for e in examples]
    else:
        sources = [e.source + e.target for e in examples]
        targets = [[IGNORED] * len(e.source) + e.target for e in examples]
    inputs = _pad(sources, pad_id)
    mask = _pad([[1] * len(source) for source in sources], 0)
    return {"input_ids": inputs, "attention_mask": mask, "labels": _pad(targets, IGNORED)}


def _pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])
