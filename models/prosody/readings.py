"""What the readings of one character allow."""

from __future__ import annotations

from models.prosody.books import Reading
from models.prosody.patterns import Tone
from models.prosody.variants import BITS, BOTH

Readings = tuple[Reading, ...]

# A tone that a character has in less than this share of its uses is uncommon.
RARE = 0.10


def tones(readings: Readings) -> int:
    """The tones that a character may have, as bits; both where the book lacks it."""
    mask = 0
    for reading in readings:
        mask |= BITS[reading.tone]
    return mask or BOTH


def usual(readings: Readings) -> Readings:
    """The readings of a character without those of an uncommon tone."""
    if tones(readings) != BOTH:
        return readings
    level = share_of_level(readings)
    rare = Tone.LEVEL if level < RARE else Tone.OBLIQUE if level > 1 - RARE else None
    return tuple(reading for reading in readings if reading.tone is not rare)


def share_of_level(readings: Readings) -> float:
    """In which share of its uses the character is level; 0 where the book lacks it."""
    return sum(reading.prior for reading in readings if reading.tone is Tone.LEVEL)


def groups_of(readings: Readings, tone: Tone) -> frozenset[str]:
    """The groups that a character can be in with that tone."""
    return frozenset(reading.group for reading in readings if reading.tone is tone)


def level_groups(readings: Readings) -> frozenset[str]:
    """The groups that a character can rhyme in."""
    return groups_of(readings, Tone.LEVEL)
