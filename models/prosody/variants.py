"""The ways a line of regulated verse may go: the standard ones, the rescued ones (拗救), the faulty ones.

After 王力, 诗词格律. The cost says which way a line is taken to go where several fit: the regular before the
rescued before the faulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from models.prosody.patterns import Tone, line_templates

LEVEL, OBLIQUE, BOTH = 1, 2, 3
"""Sets of tones as bits."""
BITS = {Tone.LEVEL: LEVEL, Tone.OBLIQUE: OBLIQUE, Tone.EITHER: BOTH}

RESCUED, WARNED, FAULTY = 1, 2, 10
"""Costs of a rescue, of a warning, and of an error."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way a line may go.

    Attributes:
        kind: a, b, A or B.
        template: over P, Z and x, a letter for each character of the line.
        bits: the tones that each letter allows.
        cost: 0 for a standard line.
        rescue: the kind of rescue that makes it acceptable, or empty.
        irregular: places of the line where it leaves the standard, from 0.
        levels_next: it is acceptable where the next line has a level third-last character.
    """

    kind: str
    template: str
    bits: tuple[int, ...]
    cost: int
    rescue: str
    irregular: tuple[int, ...]
    levels_next: bool = False


# kind, last five characters, cost, rescue
_OTHERS = (
    ("a", "xZZPZ", RESCUED, "minor_deviation"),
    ("a", "xZxZZ", RESCUED, "great_deviation"),
    ("b", "PPZPZ", RESCUED, "special_form"),
    ("b", "xPZZZ", WARNED, ""),  # 三仄尾
    ("A", "xZPPP", FAULTY, ""),  # 三平尾
    ("B", "ZPPZP", RESCUED, "lone_level_rescue"),
    ("B", "ZPZZP", FAULTY, ""),  # 孤平
)


@cache
def variants(kind: str, characters: int) -> tuple[Variant, ...]:
    """The ways a line of that kind may go, with 5 or 7 characters; the standard ones first."""
    standard = line_templates(kind, characters)
    front = standard[0][: characters - 5]
    found = [_variant(kind, template, 0, "", standard) for template in standard]
    for other, five, cost, rescue in _OTHERS:
        if other == kind:
            found.append(_variant(kind, front + five, cost, rescue, standard))
    return tuple(found)


@cache
def required(kind: str, characters: int) -> str:
    """What a standard line of that kind asks for, a letter of P, Z and x for each character."""
    templates = line_templates(kind, characters)
    return "".join(letters[0] if len(set(letters)) == 1 else "x" for letters in zip(*templates, strict=True))


def _variant(kind: str, template: str, cost: int, rescue: str, standard: tuple[str, ...]) -> Variant:
    return Variant(
        kind=kind,
        template=template,
        bits=tuple(BITS[Tone(letter)] for letter in template),
        cost=cost,
        rescue=rescue,
        irregular=tuple(
            place
            for place, letter in enumerate(template)
            if letter != Tone.EITHER and all(letter != each[place] != Tone.EITHER for each in standard)
        ),
        levels_next=rescue == "great_deviation",
    )
