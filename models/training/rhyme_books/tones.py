"""How often a character that can be level or oblique is level, from the places where the form fixes the tone.

Regular verse fixes the tone of the second, fourth (and sixth) place of a line, in alternation from line to
line, and of the last. Which of four sequences a poem follows, or none, is not written down:
expectation–maximisation (Dempster, Laird and Rubin 1977) over poems of one form finds both. A poem under
sequence h has likelihood Π P(asked tone | character), where a place breaks its rule with probability
`SLIP`; under none, Π ½.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.prosody.forms import FORMS, Form

SLIP = 0.02
_ROUNDS = 8
_HALF_WEIGHT = 2.0  # a character's share starts from this many imagined uses


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How a character was used where tones are fixed: `level` of `uses`, weighted by the fit of the poem."""

    level: float
    uses: float


def asked(form: Form) -> np.ndarray:
    """What each sequence asks of each fixed place: int8 (4, lines, places), 1 level, -1 oblique, 0 either.

    The places are the even ones and the last. The sequences: line 1 begins level or oblique, rhymed or not.
    """
    rules = np.zeros((4, form.lines, form.characters // 2 + 1), np.int8)
    for index, (start, rhymed) in enumerate((s, r) for s in (1, -1) for r in (False, True)):
        for line in range(form.lines):
            begin = start if line % 4 in (0, 3) else -start
            for place in range(form.characters // 2):
                rules[index, line, place] = begin if place % 2 == 0 else -begin
            rhymes = line % 2 == 1 or (line == 0 and rhymed)
            rules[index, line, -1] = 1 if rhymes else -1
            # A line that ends PPZZ may say PZPZ... there (特定格式): its last even place tells nothing.
            if not rhymes and rules[index, line, -2] == -1:
                rules[index, line, -2] = 0
    return rules


def usage(
    poems: Iterable[Sequence[str]], start: Mapping[str, float], free: Iterable[str]
) -> dict[str, Usage]:
    """The usage of every character in `poems` (lists of lines of one of `FORMS`).

    Args:
        start: P(level) of each character, as a book has it; unknown characters count as 0.5.
        free: the characters whose share is to be estimated. The others keep `start`.
    """
    grouped, characters = _arrays(poems)
    share = np.array([start.get(c, 0.5) for c in characters])
    free = frozenset(free)
    fixed = np.array([c not in free for c in characters])
    origin = share.copy()
    mixtures = {name: np.full(5, 0.2) for name in grouped}
    for _ in range(_ROUNDS):
        level, uses = np.zeros(len(characters)), np.zeros(len(characters))
        for name, places in grouped.items():
            mixtures[name] = _expect(places, asked(FORMS[name]), share, mixtures[name], level, uses)
        estimate = (level + _HALF_WEIGHT * origin) / (uses + _HALF_WEIGHT)
        share = np.where(fixed, origin, estimate)
    return {c: Usage(level=float(level[i]), uses=float(uses[i])) for i, c in enumerate(characters)}


def _arrays(poems: Iterable[Sequence[str]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Character numbers at the fixed places, int32 (poems, lines, places) by form; and the characters."""
    numbers: dict[str, int] = {}
    rows: dict[str, list[list[list[int]]]] = {}
    for lines in poems:
        form = next(f for f in FORMS.values() if (f.lines, f.characters) == (len(lines), len(lines[0])))
        texts = [line[1::2] + line[-1] for line in lines]
        rows.setdefault(form.name, []).append(
            [[numbers.setdefault(c, len(numbers)) for c in t] for t in texts]
        )
    return {name: np.array(row, np.int32) for name, row in rows.items()}, list(numbers)


def _expect(
    places: np.ndarray,
    rules: np.ndarray,
    share: np.ndarray,
    mixture: np.ndarray,
    level: np.ndarray,
    uses: np.ndarray,
) -> np.ndarray:
    """One E step over the poems of one form: adds to `level` and `uses`, returns the new mixture (5,)."""
    chance = share[places]  # (N, lines, places)
    as_level = (1 - SLIP) * chance + SLIP * (1 - chance)
    as_oblique = (1 - SLIP) * (1 - chance) + SLIP * chance
    fits = [np.zeros(len(places))]
    for rule in rules:
        logs = np.where(rule == 1, np.log(2 * as_level), np.where(rule == -1, np.log(2 * as_oblique), 0.0))
        fits.append(logs.sum((1, 2)))
    scores = np.stack(fits, 1) + np.log(mixture)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    for rule, weight in zip(rules, weights.T[1:], strict=True):
        told = np.broadcast_to(rule != 0, places.shape)
        given = np.where(rule == 1, (1 - SLIP) * chance / as_level, SLIP * chance / as_oblique)
        weighed = np.broadcast_to(weight[:, None, None], places.shape)
        level += np.bincount(places[told], (weighed * given)[told], len(level))
        uses += np.bincount(places[told], weighed[told], len(uses))
    return weights.mean(0)
