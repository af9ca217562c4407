"""What poems are written from for an evaluation: keywords of held-out poems."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.prosody import FORMS, Form
from models.training.corpus import Poem
from models.training.keyword_sampler import KeywordSampler

KEYWORDS = 4
# Enough draws to meet a set of four: the sampler gives one half of the time.
_DRAWS = 32


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """Keywords, and the person's poem that they were taken from.

    Attributes:
        index: its place among all prompts; also the seed of the poem that is written from it.
        keywords: four; fewer only where the poem does not give so many.
        person: the held-out poem.
    """

    index: int
    keywords: tuple[str, ...]
    person: Poem

    @property
    def form(self) -> Form:
        return FORMS[self.person.form]


def prompts(poems: Sequence[Poem], sampler: KeywordSampler, forms: Sequence[str], count: int) -> list[Prompt]:
    """`count` prompts of each form, or as many as there are poems of it; the forms take turns.

    Which poems come first depends on their text alone, and a poem's keywords likewise: a short list of
    prompts is the beginning of a long one.
    """
    by_form = {name: _ordered(poems, name)[:count] for name in forms}
    turns = [by_form[name][turn] for turn in range(count) for name in forms if turn < len(by_form[name])]
    return [
        Prompt(index=index, keywords=four_keywords(poem, sampler), person=poem)
        for index, poem in enumerate(turns)
    ]


def four_keywords(poem: Poem, sampler: KeywordSampler) -> tuple[str, ...]:
    """Four keywords of a poem as training draws them; the most that it gives where that is fewer."""
    rng = random.Random(poem.text)
    longest: list[str] = []
    for _ in range(_DRAWS):
        drawn = sampler.draw(poem, rng)[:KEYWORDS]
        longest = max(longest, drawn, key=len)
        if len(longest) == KEYWORDS:
            break
    return tuple(longest)


def _ordered(poems: Sequence[Poem], form: str) -> list[Poem]:
    own = [poem for poem in poems if poem.form == form]
    return sorted(own, key=lambda poem: hashlib.sha256(f"evaluate/{poem.text}".encode()).digest())
