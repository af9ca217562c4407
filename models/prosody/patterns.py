"""The tonal patterns of regulated verse: which tone each place of each line asks for.

After 王力, 诗词格律: four kinds of line (a, b unrhymed; A, B rhymed) and four sequences of them. A template
is a string over P (平, level), Z (仄, oblique) and x (either), one letter a character.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.prosody.forms import Form


class Tone(StrEnum):
    """The tone class of a character, or of a place in a line."""

    LEVEL = "P"
    OBLIQUE = "Z"
    EITHER = "x"


class UnknownPattern(ValueError):
    """A tonal pattern that is none of `PATTERNS`."""


# The last five characters of each kind of line, and the two that stand before them in 七言.
_FIVE = {"a": ("xZPPZ",), "b": ("xPPZZ",), "A": ("xZZPP",), "B": ("PPZZP", "PPPZP")}
_HEAD = {"a": "xP", "b": "xZ", "A": "xP", "B": "xZ"}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One of the four tonal sequences.

    Attributes:
        name: the stable name in options, e.g. `a_unrhymed`: the kind of line 1, and whether line 1 rhymes.
        quatrain: the kinds of the first four lines, e.g. `aBbA`.
        second: the kinds of lines 5 to 8 of a 律诗.
    """

    name: str
    quatrain: str
    second: str

    def kinds(self, form: Form) -> str:
        """The kind of each line of `form`, e.g. `aBbA`."""
        return (self.quatrain + self.second)[: form.lines]

    def chinese(self, form: Form) -> str:
        """What poets call it, by the second character of line 1, e.g. 仄起首句不入韵."""
        [template, *_] = line_templates(self.quatrain[0], form.characters)
        start = "平起" if template[1] == Tone.LEVEL else "仄起"
        return start + ("首句入韵" if self.quatrain[0].isupper() else "首句不入韵")


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        Pattern(name="a_unrhymed", quatrain="aBbA", second="aBbA"),
        Pattern(name="a_rhymed", quatrain="ABbA", second="aBbA"),
        Pattern(name="b_unrhymed", quatrain="bAaB", second="bAaB"),
        Pattern(name="b_rhymed", quatrain="BAaB", second="bAaB"),
    )
}


def line_templates(kind: str, characters: int) -> tuple[str, ...]:
    """The standard templates of a kind of line (a, b, A or B) with 5 or 7 characters, e.g. `xZPPZ`."""
    head = _HEAD[kind] if characters == 7 else ""
    return tuple(head + tail for tail in _FIVE[kind])


def pattern_named(name: str) -> Pattern:
    """The pattern with that stable name. Raises UnknownPattern."""
    try:
        return PATTERNS[name]
    except KeyError:
        raise UnknownPattern(f"unknown tonal pattern {name!r}; choose one of {', '.join(PATTERNS)}") from None
