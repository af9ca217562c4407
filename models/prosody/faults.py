"""The faults and rescues that the checker knows: their stable identifiers and the names that poets use."""

from __future__ import annotations

from collections.abc import Iterable

from models.prosody.patterns import Tone
from models.prosody.report import Fault, Rescue, Severity

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

FAULTS: dict[str, tuple[str, Severity]] = {
    "wrong_line_count": ("句数不合", _ERROR),
    "wrong_length": ("字数不合", _ERROR),
    "lost_opposition": ("失对", _ERROR),
    "lost_adhesion": ("失粘", _ERROR),
    "wrong_tone": ("平仄不合", _ERROR),
    "lone_level": ("孤平", _ERROR),
    "three_level_ending": ("三平尾", _ERROR),
    "level_ending": ("出句平收", _ERROR),
    "oblique_rhyme": ("押仄声", _ERROR),
    "wrong_rhyme": ("出韵", _ERROR),
    "repeated_rhyme": ("重韵", _ERROR),
    "three_oblique_ending": ("三仄尾", _WARNING),
    "clashing_rhyme": ("撞韵", _WARNING),
    "neighbouring_rhyme": ("邻韵", _WARNING),
    "rare_reading": ("多音字", _WARNING),
    "unknown_character": ("生僻字", _WARNING),
}

RESCUES: dict[str, str] = {
    "special_form": "特拗",
    "lone_level_rescue": "孤平拗救",
    "great_deviation": "大拗对句救",
    "minor_deviation": "小拗",
}

# What readers call a tone.
CHINESE = {Tone.LEVEL: "平", Tone.OBLIQUE: "仄", Tone.EITHER: "平 or 仄"}
OPPOSITE = {Tone.LEVEL: Tone.OBLIQUE, Tone.OBLIQUE: Tone.LEVEL}

_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th")


def fault(kind: str, line: int, positions: Iterable[int], explanation: str) -> Fault:
    """A fault of that kind, with its name and weight."""
    name, severity = FAULTS[kind]
    return Fault(
        kind=kind,
        name=name,
        severity=severity,
        line=line,
        positions=tuple(positions),
        explanation=explanation,
    )


def rescue(kind: str, line: int, positions: Iterable[int], explanation: str) -> Rescue:
    """A rescue of that kind, with its name."""
    return Rescue(
        kind=kind, name=RESCUES[kind], line=line, positions=tuple(positions), explanation=explanation
    )


def ordinal(position: int) -> str:
    """A place for readers, who count from 1: 2nd for 1."""
    return _ORDINALS[position]


def series(words: Iterable[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *front, last = words
    return f"{', '.join(front)} and {last}" if front else last
