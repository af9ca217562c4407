"""What the rules of regulated verse say about a poem, as plain immutable values.

Tones are level (平), oblique (仄), either (both readings stand, or either is allowed), or empty (not known).
Lines and positions count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way to read a character; `prior` is its share of the uses in the corpus."""

    tone: str
    rhyme_group: str
    prior: float


@dataclass(frozen=True, kw_only=True)
class CharacterCheck:
    """One character; `verdict` is good, rescued, faulty or unknown, `required` what its place asks for."""

    text: str
    tone: str
    readings: tuple[Reading, ...]
    required: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class LineCheck:
    """One line without punctuation; `rhymed` where it must rhyme."""

    text: str
    characters: tuple[CharacterCheck, ...]
    rhymed: bool


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A breach of a rule. `kind` is stable, e.g. lone_level; `severity` is warning or error."""

    kind: str
    name: str
    severity: str
    line: int
    positions: tuple[int, ...]
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """An irregular line that tradition accepts (拗救). `kind` is stable, e.g. special_form."""

    kind: str
    name: str
    line: int
    positions: tuple[int, ...]
    explanation: str


@dataclass(frozen=True, kw_only=True)
class PoemCheck:
    """How a poem stands under the rules.

    Attributes:
        form: wujue, qijue, wulv or qilv; empty where its lines fit none.
        pattern: what it fits best: a_unrhymed, a_rhymed, b_unrhymed or b_rhymed; empty without a form.
        pattern_name: what poets call it, e.g. 仄起首句不入韵（正格）.
        rhyme_book: pingshui, cilin, xinyun or tongyun.
        rhyme_group: what it rhymes in, e.g. 十一尤; empty where there is none.
        conforms: no fault is an error, where every character has the reading that suits its place.
        conforms_resolved: the same without readings that are hardly ever used.
        faults, rescues: in the order of their lines.
    """

    form: str
    pattern: str
    pattern_name: str
    rhyme_book: str
    rhyme_group: str
    conforms: bool
    conforms_resolved: bool
    lines: tuple[LineCheck, ...]
    faults: tuple[Fault, ...]
    rescues: tuple[Rescue, ...]
