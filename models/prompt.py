"""The prompt: how form, keywords and the lines so far are written for a poet.

Shared by training and serving; a bundle's manifest carries the template its poet was trained with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from models.prosody import FORMS, Form

CONTROLLED = "[CLS]{form}{rhyme}{subject}关键词：{keywords}[EOS]"


class PromptTooLong(ValueError):
    """Keywords and lines need more tokens than the poet was made for."""


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """The recipe of the original work with control tokens in front, for what the poet was taught of them.

    Attributes:
        prompt: what the poet reads first; `{form}`, `{rhyme}`, `{subject}` and `{keywords}` are filled in.
        line: how each finished line is appended; `{line}` is filled in.
        close: what follows the lines so far (T5 encoders read it; empty for GPT2).
        keyword_separator: between two keywords.
        forms: control token of each form; forms that are not named get none.
        rhymes: control token of each rhyme group (十一尤 and the like) that the poet was taught; else none.
        subjects: control token of each subject (送别 and the like) that the poet was taught; else none.
        unused_only: whether keywords that stand in the lines so far are left out, so that a poet that writes
            line by line finds at the front what is still to be said.
        max_tokens: the longest sequence the poet reads and writes, in tokens.
    """

    prompt: str = "[CLS]{form}关键词：{keywords}[EOS]"
    line: str = "{line}[EOS]"
    close: str = ""
    keyword_separator: str = " "
    forms: Mapping[str, str] = field(default_factory=lambda: {name: f"[{name.upper()}]" for name in FORMS})
    rhymes: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    unused_only: bool = False
    max_tokens: int = 128

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> PromptTemplate:
        """Read the `prompt` entry of a poet's manifest. Raises TypeError on unknown fields."""
        return cls(**manifest["prompt"])

    def to_manifest(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def control_tokens(self) -> tuple[str, ...]:
        """All control tokens: forms, rhyme groups, subjects."""
        return (*self.forms.values(), *self.rhymes.values(), *self.subjects.values())

    def render(
        self,
        keywords: Sequence[str],
        *,
        form: Form | None,
        rhyme: str | None = None,
        subject: str | None = None,
        lines: Iterable[str] = (),
    ) -> str:
        """The text to tokenize. A form, rhyme or subject that is None or was not taught has no token."""
        lines = list(lines)
        if self.unused_only:
            keywords = unused_keywords(keywords, lines)
        head = self.prompt.format(
            form=self.forms.get(form.name, "") if form else "",
            rhyme=self.rhymes.get(rhyme, "") if rhyme else "",
            subject=self.subjects.get(subject, "") if subject else "",
            keywords=self.keyword_separator.join(keywords),
        )
        return head + "".join(self.line.format(line=line) for line in lines) + self.close


def select_keywords(keywords: Sequence[str], form: Form) -> list[str]:
    """The keywords that go into the prompt: at most one a line, as in training, the first ones."""
    return list(dict.fromkeys(keywords))[: form.lines]


def unused_keywords(keywords: Iterable[str], lines: Sequence[str]) -> list[str]:
    """Those that no line holds."""
    return [keyword for keyword in keywords if not any(keyword in line for line in lines)]


def distinct_keywords(keywords: Sequence[str]) -> list[str]:
    """Those that share no character with one before them.

    What is looked up comes in near-synonyms: 楼阁 楼殿 宫殿 殿 楼台 台殿. A poet that is given all of
    them says one thing four times; 楼阁 and 宫殿 are enough.
    """
    chosen: list[str] = []
    for keyword in keywords:
        if not set(keyword) & set("".join(chosen)):
            chosen.append(keyword)
    return chosen
