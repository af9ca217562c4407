"""The share of each reading of a character in 平水韵: of its tones (`tones`), of its groups (`company`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.training.rhyme_books import company, tones
from models.training.rhyme_books.merges import Place

Table = Mapping[str, Sequence[Place]]
_ENOUGH_USES = 3.0
_SELDOM = 0.03


def is_level(place: Place) -> bool:
    """Whether a place's division is one of level tone."""
    return "平" in place[0]


def estimate(
    poems: Sequence[Sequence[str]], table: Table, form_of: Callable[[str], str]
) -> dict[str, dict[Place, float]]:
    """The share of each place of each character of `table`; a character's shares add up to 1.

    A character that the poems hardly use takes the shares of `form_of` it (its simplified form) as far as
    the two have the same places; what no poem tells is shared evenly.
    """
    level = level_shares(poems, table)
    groups = _group_shares(poems, table)
    return {
        c: _shares(
            places, level.get(c, level.get(form_of(c), 0.5)), groups.get(c) or groups.get(form_of(c)) or {}
        )
        for c, places in table.items()
    }


def level_shares(poems: Sequence[Sequence[str]], table: Table) -> dict[str, float]:
    """P(level) of each character with readings of both tones, if the poems use it often enough to tell.

    One imagined use each way keeps it off 0 and 1.
    """
    start, free = {}, set()
    for character, places in table.items():
        levels = {is_level(place) for place in places}
        start[character] = sum(levels) / len(levels)
        if len(levels) == 2:
            free.add(character)
    usage = tones.usage(poems, start, free)
    return {c: (u.level + 1) / (u.uses + 2) for c, u in usage.items() if c in free and u.uses >= _ENOUGH_USES}


def _group_shares(poems: Sequence[Sequence[str]], table: Table) -> dict[str, dict[Place, float]]:
    """P(place | character and tone), the places of both tones side by side, as far as rhymes tell."""
    merged: dict[str, dict[Place, float]] = {}
    for tone in (True, False):
        sides = {c: [place for place in places if is_level(place) is tone] for c, places in table.items()}
        found = company.shares(poems, {c: side for c, side in sides.items() if side})
        for character, shares in found.items():
            merged.setdefault(character, {}).update(shares)
    return merged


def _shares(places: Sequence[Place], level: float, groups: Mapping[Place, float]) -> dict[Place, float]:
    """`level` and the rest, each parted among the places of its tone as `groups` says."""
    result: dict[Place, float] = {}
    for tone, weight in ((True, level), (False, 1 - level)):
        side = [place for place in places if is_level(place) is tone]
        weight = 1.0 if len(side) == len(places) else weight
        known = [groups.get(place, 0.0) for place in side]
        parts = known if sum(known) > 0 else [1.0] * len(side)
        result |= {place: weight * part / sum(parts) for place, part in zip(side, parts, strict=True)}
    return result


def without_idle(shares: Mapping[str, Mapping[Place, float]], second: Table) -> dict[str, list[Place]]:
    """The places that are in use: all but those that the poems seldom use and the `second` table lacks.

    廣韻 notes every reading of its sources; the lists that poets kept are shorter, and `second` is such a
    list. Characters that it lacks keep all their places.
    """
    return {
        c: [p for p, share in places.items() if c not in second or p in second[c] or share >= _SELDOM]
        for c, places in shares.items()
    }
