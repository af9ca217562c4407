"""The vocabulary and the prompt template that a poet is trained with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from models.prompt import CONTROLLED, PromptTemplate
from models.prosody import FORMS
from models.prosody.books import rhyme_book
from models.tokenizer import SEP, SPECIAL_TOKENS, CharacterTokenizer
from models.training.corpus import Poem
from models.training.rhymes import BOOK
from models.training.subjects import SUBJECTS


def template_for(arch: str) -> PromptTemplate:
    """The recipe of `t5` (a line at a time) or of `gpt2` (whole poems), with all control tokens."""
    return PromptTemplate(
        prompt=CONTROLLED,
        close=SEP if arch == "t5" else "",
        forms={name: f"[{name.upper()}]" for name in FORMS},
        rhymes=_numbered("YUN", rhyme_book(BOOK).level_groups),
        subjects=_numbered("SUBJECT", SUBJECTS),
        unused_only=arch == "t5",
    )


def build_tokenizer(poems: Iterable[Poem], template: PromptTemplate, *, least: int = 5) -> CharacterTokenizer:
    """Special tokens, control tokens, the prompt's own characters, then characters by frequency."""
    counts: Counter[str] = Counter()
    for poem in poems:
        counts.update(poem.text)
    own = [c for c in dict.fromkeys("关键词：" + template.keyword_separator) if counts[c] < least]
    characters = [c for c, count in counts.most_common() if count >= least]
    return CharacterTokenizer([*SPECIAL_TOKENS, *template.control_tokens, *own, *characters])


def extended(tokenizer: CharacterTokenizer, template: PromptTemplate) -> CharacterTokenizer:
    """`tokenizer` with the template's control tokens that it lacks at the end: no id changes."""
    known = set(tokenizer.vocabulary)
    return CharacterTokenizer(
        [*tokenizer.vocabulary, *(token for token in template.control_tokens if token not in known)]
    )


def kin(template: PromptTemplate) -> dict[str, str]:
    """For each control token what it may start from, characters or tokens of a like meaning.

    A rhyme group starts as the characters that rhyme, a subject as those of its name, and 律诗 as 绝句.
    """
    book = rhyme_book(BOOK)
    found = {token: book.characters(group) for group, token in template.rhymes.items()}
    found |= {token: subject for subject, token in template.subjects.items()}
    return found | {token: token.replace("LV]", "JUE]") for token in template.forms.values()}


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, str]:
    return {name: f"[{prefix}{number:02d}]" for number, name in enumerate(names, start=1)}
