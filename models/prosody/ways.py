"""The ways to write a line that are still open: sets of them as bits of a number, asked at each character."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from models.prosody.patterns import Tone
from models.prosody.plan import LinePlan


class Ways:
    """All ways to write a line, of which sets are told as numbers: the first way is the lowest bit.

    Attributes:
        all: the set of all of them.
        rhymed: those whose last character rhymes.
    """

    def __init__(self, plans: tuple[LinePlan, ...]) -> None:
        self._plans = plans
        bits = [(1 << place, plan) for place, plan in enumerate(plans)]
        self.all = (1 << len(plans)) - 1
        self.rhymed = sum(bit for bit, plan in bits if plan.rhymed)
        # For each position, the ways that take a character of either tone, and those that ask for one.
        self._taking = [
            {tone: sum(bit for bit, plan in bits if plan.template[position] == tone) for tone in Tone}
            for position in range(len(plans[0].template))
        ]

    def asked_for(self, live: int, position: int) -> Tone:
        """The tone that all these ways ask for at this position."""
        taking = self._taking[position]
        for tone in (Tone.LEVEL, Tone.OBLIQUE):
            if live & taking[tone] == live:
                return tone
        return Tone.EITHER

    def fitting(self, live: int, position: int, tones: Iterable[Tone | None]) -> int:
        """Those of these ways that take a character of such tones at this position; None is a tone that is
        not known."""
        taking = self._taking[position]
        fitting = taking[Tone.EITHER]
        for tone in tones:
            fitting |= taking[tone] if tone else 0
        return live & fitting

    def patterns(self, live: int) -> set[str]:
        """The names of the patterns that these ways belong to."""
        return {plan.pattern for place, plan in enumerate(self._plans) if live >> place & 1}

    def of_patterns(self, patterns: set[str]) -> int:
        """The ways of these patterns."""
        return sum(1 << place for place, plan in enumerate(self._plans) if plan.pattern in patterns)


@lru_cache(maxsize=256)
def ways_of(plans: tuple[LinePlan, ...]) -> Ways:
    """The same for every poem that may be written in these ways."""
    return Ways(plans)
