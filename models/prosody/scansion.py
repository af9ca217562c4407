"""Which kind of line each line is: the reading of a poem with the fewest and lightest breaches.

Line by line the second character decides between two kinds (a or b, A or B), so that a poem of good lines
that do not fit together (失对, 失粘) is told from one of bad lines. A dynamic programme over couplets finds
the cheapest kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.prosody.patterns import PATTERNS, Pattern
from models.prosody.variants import FAULTY, LEVEL, Variant, variants

# A line out of step costs more than one wrong character, and less than two.
_OUT_OF_STEP = 12
# A line that ends in the wrong tone is worse than any other wrong tone.
_WRONG_END = 15
# The odd places of a line are spoken for by its variants: no variant is stretched to cover them.
_NEVER = 1000
_OPPOSITE_KINDS = {"aB", "bA", "AB", "BA"}
_ADHERING_KINDS = {"Aa", "Bb"}

Masks = Sequence[int]
"""For each character of a line the set of tones that it may have, as bits."""

# More than a rescue or a warning, so that 不 is not read as a level tone to save an oblique one.
_RARE_READING = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A line taken for one variant.

    Attributes:
        variant: the way it goes.
        deviations: places where it does not, from 0: only the 2nd, 4th and 6th for poets, or the last.
        rare: places where it does by a reading that is hardly used, from 0.
        cost: what all of this weighs.
    """

    variant: Variant
    deviations: tuple[int, ...]
    rare: tuple[int, ...]
    cost: int

    @property
    def regular(self) -> bool:
        """No wrong tone in the last five characters, which make a variant what it is."""
        front = len(self.variant.template) - 5
        return not any(place >= front for place in self.deviations)


@dataclass(frozen=True, slots=True)
class _Path:
    cost: int
    fits: tuple[Fit, ...]


def scan(lines: Sequence[Masks], usual: Sequence[Masks], *, rhyme_first: bool = False) -> tuple[Fit, ...]:
    """The cheapest way to take the lines of a form, an even number of one length (5 or 7).

    Args:
        usual: the same as `lines` without tones that are hardly used.
        rhyme_first: of two equally cheap ways, take line 1 to rhyme.
    """
    first_kinds = "ABab" if rhyme_first else "abAB"
    paths = {"": _Path(0, ())}
    for start in range(0, len(lines), 2):
        first = _fits(lines[start], usual[start], first_kinds if start == 0 else "ab")
        second = _fits(lines[start + 1], usual[start + 1], "AB")
        couplets = _couplets(first, second)
        paths = _extended(paths, couplets)
    return min(paths.values(), key=lambda path: path.cost).fits


def pattern_of(fits: Sequence[Fit]) -> Pattern:
    """The pattern that most lines agree with; of two with as many, the one that line 1 begins."""
    kinds = [fit.variant.kind for fit in fits]

    def agreement(pattern: Pattern) -> tuple[int, bool]:
        asked = pattern.quatrain + pattern.second
        return sum(kind == other for kind, other in zip(kinds, asked, strict=False)), asked[0] == kinds[0]

    return max(PATTERNS.values(), key=agreement)


def _fits(masks: Masks, usual: Masks, kinds: str) -> dict[str, list[Fit]]:
    return {kind: [_fit(masks, usual, variant) for variant in variants(kind, len(masks))] for kind in kinds}


def _fit(masks: Masks, usual: Masks, variant: Variant) -> Fit:
    last = len(masks) - 1
    cost, deviations, rare = variant.cost, [], []
    for place, bits in enumerate(variant.bits):
        if not masks[place] & bits:
            deviations.append(place)
            cost += _WRONG_END if place == last else FAULTY if place % 2 else _NEVER
        elif not usual[place] & bits:
            rare.append(place)
            cost += _RARE_READING
    return Fit(variant, tuple(deviations), tuple(rare), cost)


def _couplets(first: dict[str, list[Fit]], second: dict[str, list[Fit]]) -> dict[tuple[str, str], _Path]:
    """For each pair of kinds the cheapest couplet."""
    return {(kind, other): _couplet(first[kind], second[other]) for kind in first for other in second}


def _couplet(first: Sequence[Fit], second: Sequence[Fit]) -> _Path:
    best = min(second, key=_cost)
    # What rescues the line before: a line B with a level third-last character.
    levelling = [fit for fit in second if fit.variant.kind == "B" and fit.variant.bits[-3] == LEVEL]
    rescuer = min(levelling, key=_cost, default=None)
    pairs = [(one, rescuer if one.variant.levels_next else best) for one in first]
    one, other = min(
        ((one, other) for one, other in pairs if other), key=lambda pair: pair[0].cost + pair[1].cost
    )
    apart = 0 if one.variant.kind + other.variant.kind in _OPPOSITE_KINDS else _OUT_OF_STEP
    return _Path(one.cost + other.cost + apart, (one, other))


def _cost(fit: Fit) -> int:
    return fit.cost


def _extended(paths: dict[str, _Path], couplets: dict[tuple[str, str], _Path]) -> dict[str, _Path]:
    """The cheapest path to each kind of the next couplet's second line."""
    longer: dict[str, _Path] = {}
    for end, path in paths.items():
        for (kind, other), couplet in couplets.items():
            apart = _OUT_OF_STEP if end and end + kind not in _ADHERING_KINDS else 0
            cost = path.cost + couplet.cost + apart
            if other not in longer or cost < longer[other].cost:
                longer[other] = _Path(cost, path.fits + couplet.fits)
    return longer
