"""Which of its rhyme groups a character is used in, told by the characters that it rhymes with.

Estimated over poems like the tones (see `tones`): a poem rhymes in one group g, and a character that it
rhymes with is there by its reading in g, so P(g | poem) ∝ Π P(g | character) over its rhyme characters.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Group = TypeVar("Group", bound=Hashable)

_ROUNDS = 6
_HALF_WEIGHT = 2.0


def shares(
    poems: Iterable[Sequence[str]], groups: Mapping[str, Sequence[Group]]
) -> dict[str, dict[Group, float]]:
    """P(group | character) of each character of `groups` with several groups, and a rhyme that tells.

    Args:
        poems: lists of lines; the last characters of the second, fourth … rhyme.
        groups: the groups of one tone class that each character may be read in. A poem with a rhyme character
            that has none is left out.
    """
    rhymes = Counter(
        tuple(line[-1] for line in lines[1::2])
        for lines in poems
        if all(line[-1] in groups for line in lines[1::2])
    )
    plural = {c: {g: 1 / len(gs) for g in gs} for c, gs in groups.items() if len(gs) > 1}
    found: dict[str, dict[Group, float]] = {}
    for _ in range(_ROUNDS):
        current = {c: found.get(c, even) for c, even in plural.items()}
        counts = _expected(rhymes, groups, current)
        found = {c: _estimate(plural[c], seen) for c, seen in counts.items()}
    return found


def _expected(
    rhymes: Mapping[tuple[str, ...], int],
    groups: Mapping[str, Sequence[Group]],
    current: Mapping[str, Mapping[Group, float]],
) -> dict[str, dict[Group, float]]:
    """How often each plural character is expected in each of its groups; poems that fit none do not count."""
    counts: dict[str, dict[Group, float]] = defaultdict(lambda: defaultdict(float))
    for characters, times in rhymes.items():
        several = [c for c in characters if c in current]
        if not several:
            continue
        weights = {
            group: math.prod(current[c][group] if c in current else 1.0 for c in characters)
            for group in groups[characters[0]]
            if all(group in groups[c] for c in characters)
        }
        total = sum(weights.values())
        if total > 0:
            for c in several:
                for group in groups[c]:
                    counts[c][group] += times * weights.get(group, 0.0) / total
    return counts


def _estimate(even: Mapping[Group, float], seen: Mapping[Group, float]) -> dict[Group, float]:
    total = sum(seen.values()) + _HALF_WEIGHT
    return {group: (seen.get(group, 0.0) + _HALF_WEIGHT * share) / total for group, share in even.items()}
