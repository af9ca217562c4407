"""Poems to test the rules with: human ones, and ones made to a pattern of tones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.prosody import FORMS, PATTERNS, Form, Pattern
from models.prosody.patterns import line_templates

_POEMS = Path(__file__).with_name("poems.tsv")
# Each has this tone in 平水韵 and no other, and none rhymes with the words below.
CHARACTERS = {"P": "天山云花", "Z": "月日木水", "x": "天月山日"}
RHYMES = "流楼舟秋头"  # 十一尤
RHYME_GROUP = "十一尤"


@dataclass(frozen=True, kw_only=True)
class Poem:
    """A human poem that keeps the rules; `quatrain` are the kinds of its first four lines, e.g. aBbA."""

    author: str
    title: str
    form: Form
    quatrain: str
    rhyme_group: str
    lines: tuple[str, ...]


def human_poems() -> Iterator[Poem]:
    for row in _POEMS.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            author, title, form, quatrain, group, text = row.split("\t")
            lines = tuple(text.replace("，", "。").rstrip("。").split("。"))
            yield Poem(
                author=author,
                title=title,
                form=FORMS[form],
                quatrain=quatrain,
                rhyme_group=group,
                lines=lines,
            )


def made(tones: Sequence[str]) -> list[str]:
    """Lines with these tones (P, Z, x), one template a line; the even ones, and a level first, rhyme."""
    words = iter(RHYMES)
    lines = []
    for number, template in enumerate(tones):
        line = "".join(CHARACTERS[tone][place % 4] for place, tone in enumerate(template))
        if template[-1] == "P" and (number % 2 or number == 0):
            line = line[:-1] + next(words)
        lines.append(line)
    return lines


def standard(pattern: Pattern, form: Form) -> list[str]:
    """The first template of each line of a pattern."""
    return [line_templates(kind, form.characters)[0] for kind in pattern.kinds(form)]


ALL = [(pattern, form) for pattern in PATTERNS.values() for form in FORMS.values()]
