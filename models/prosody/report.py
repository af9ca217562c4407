"""What the checker says of a poem: form, pattern, rhyme, every character, and what breaks which rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.prosody.books import Reading
from models.prosody.forms import Form
from models.prosody.patterns import Pattern, Tone


class Verdict(StrEnum):
    """Whether a character suits its place."""

    GOOD = "good"
    RESCUED = "rescued"
    FAULTY = "faulty"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much a fault weighs: with an error the poem does not conform, with a warning it does."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterCheck:
    """One character under the rules.

    Attributes:
        text: the character as it was given.
        tone: what it is read as in its place; EITHER where both readings stand, None where the book lacks it.
        readings: the book's, likeliest first.
        required: what its place asks for; None where the poem has no form.
        verdict: FAULTY where it is one of the positions of an error.
    """

    text: str
    tone: Tone | None
    readings: tuple[Reading, ...]
    required: Tone | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class LineCheck:
    """One line without its punctuation; `rhymed` where it must rhyme at its place in the pattern."""

    text: str
    characters: tuple[CharacterCheck, ...]
    rhymed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A breach of a rule.

    Attributes:
        kind: a stable identifier, one of `models.prosody.faults.FAULTS`.
        name: what poets call it, e.g. 孤平.
        line: from 0; for two lines that do not fit together, the one that is out of step.
        positions: the characters that are out of place, from 0; empty for the whole line.
        explanation: plain words for a reader.
    """

    kind: str
    name: str
    severity: Severity
    line: int
    positions: tuple[int, ...]
    explanation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescue:
    """An irregular line that tradition accepts (拗救).

    Attributes:
        kind: a stable identifier, one of `models.prosody.faults.RESCUES`.
        name: what poets call it, e.g. 孤平拗救.
        line: the irregular line, from 0.
        positions: its irregular characters, from 0.
        explanation: plain words for a reader.
    """

    kind: str
    name: str
    line: int
    positions: tuple[int, ...]
    explanation: str


# 正格, after 王力: what most poets of the Tang wrote. In 五言 line 1 seldom rhymes, in 七言 it mostly does.
_ORTHODOX = {5: ("a_unrhymed",), 7: ("a_rhymed", "b_rhymed")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the rules say about a text.

    Attributes:
        form: None where its lines fit none; then there is no pattern either.
        pattern: the one of the four that it fits best.
        rhyme_book: stable name of the book that was gone by.
        rhyme_group: the group that it rhymes in; empty where there is none.
        conforms: no fault is an error, whichever reading of a character it takes.
        conforms_resolved: the same without readings that the corpus hardly uses.
        faults: in the order of their lines.
        rescues: in the order of their lines.
    """

    form: Form | None
    pattern: Pattern | None
    rhyme_book: str
    rhyme_group: str
    conforms: bool
    conforms_resolved: bool
    lines: tuple[LineCheck, ...]
    faults: tuple[Fault, ...]
    rescues: tuple[Rescue, ...]

    @property
    def first_line_rhymes(self) -> bool:
        """首句入韵."""
        return self.pattern is not None and self.pattern.quatrain[0].isupper()

    @property
    def orthodox(self) -> bool:
        """Whether the pattern is a 正格 of the form."""
        return (
            self.form is not None
            and self.pattern is not None
            and self.pattern.name in _ORTHODOX[self.form.characters]
        )

    @property
    def pattern_name(self) -> str:
        """What poets call the pattern, e.g. 仄起首句不入韵（正格）; empty where there is none."""
        if self.form is None or self.pattern is None:
            return ""
        return self.pattern.chinese(self.form) + ("（正格）" if self.orthodox else "")
