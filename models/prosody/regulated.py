"""Decoding under the rules of regulated verse: tones, rhyme and fixed characters, with look-ahead."""

from __future__ import annotations

import numpy as np

from models.prosody.constraint import mask_weights
from models.prosody.forms import Form
from models.prosody.lexicon import Lexicon, tones_of
from models.prosody.patterns import Tone
from models.prosody.plan import make_plan
from models.prosody.readings import level_groups
from models.prosody.rules import Rules
from models.prosody.ways import Ways, ways_of


class Regulated:
    """Tones and rhyme of one request.

    A pattern that is left open is settled by what the poet writes: each character rules out the patterns
    that it does not fit, and only characters that leave one pattern are allowed. The rhyme group is settled
    by the first rhyme in the same way. As the plan holds only patterns that every fixed character fits, and
    only groups with more rhymes than the poem needs, no writing can come to a place that nothing may fill.
    """

    def __init__(self, form: Form, rules: Rules, lexicon: Lexicon) -> None:
        """Raises ImpossibleRules where no poem can keep the rules."""
        self.form = form
        self.parallel_lines = form.parallel_lines
        self.rules = rules
        self.lexicon = lexicon
        self.plan = make_plan(form, rules, lexicon)
        self.ways = [ways_of(plans) for plans in self.plan.lines]
        self.masks = {tone: mask_weights(allowed) for tone, allowed in lexicon.tones.items()}
        self._closing: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}

    def begin(self) -> RegulatedWriting:
        group = self.plan.groups[0] if len(self.plan.groups) == 1 else None
        return RegulatedWriting(self, live=self.ways[0].all, group=group, used=self.plan.taken)

    def closing(
        self, *, rhymed: bool, unrhymed: bool, group: str | None, used: frozenset[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights for a line's last place, and those of the look-ahead for the place before, float32 (V,)."""
        key = (rhymed, unrhymed, group, used)
        if key not in self._closing:
            self._closing[key] = self._make_closing(rhymed, unrhymed, group, used)
        return self._closing[key]

    def _make_closing(
        self, rhymed: bool, unrhymed: bool, group: str | None, used: frozenset[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        lexicon = self.lexicon
        allowed = np.zeros_like(lexicon.usual)
        before = np.zeros(len(allowed), dtype=np.float32)
        if unrhymed:
            allowed |= lexicon.tones[Tone.OBLIQUE]
            before += lexicon.before_oblique
        if rhymed:
            for name in [group] if group else self.plan.groups:
                allowed |= self._rhymes_in(name)
                before += lexicon.before_usual_rhymes(name)
            for token in lexicon.ids_of(used):
                if allowed[token]:
                    allowed[token] = False
                    preceding, counts = lexicon.endings.count_before_one(token)
                    before[preceding] -= counts
        ahead = lexicon.endings.log_share(np.maximum(before, 0), lexicon.endings.share_of(allowed))
        return mask_weights(allowed), ahead

    def _rhymes_in(self, group: str) -> np.ndarray:
        """The usual rhymes, or all of them in a group that has few."""
        usual = self.lexicon.usual_rhymes_in(group)
        return usual if usual.sum() > self.form.lines else self.lexicon.rhymes_in(group)


class RegulatedWriting:
    """A poem under `Regulated`."""

    def __init__(
        self,
        rules: Regulated,
        *,
        live: int,
        group: str | None,
        used: frozenset[str],
        line: int = 0,
        position: int = 0,
    ) -> None:
        self._group = group
        self._rules = rules
        self._live = live
        self._used = used
        self._line = line
        self._position = position

    @property
    def pingshui_group(self) -> str | None:
        return self._group if self._rules.lexicon.book.name == "pingshui" else None

    def forced(self) -> str | None:
        return self._rules.rules.fixed.get((self._line, self._position))

    def weights(self) -> np.ndarray:
        to_come = self._rules.form.characters - 1 - self._position
        if to_come > 1:
            return self._rules.masks[self._tone_asked_for()]
        at_end, ahead = self._closing()
        return at_end if to_come == 0 else self._rules.masks[self._tone_asked_for()] + ahead

    def accept(self, character: str) -> None:
        book = self._rules.lexicon.book
        tones = tones_of(book, character) if self.forced() else {book.tone_of(character)}
        self._live = self._ways.fitting(self._live, self._position, tones)
        self._position += 1
        if self._position == self._rules.form.characters:
            self._end_line(character)

    def copy(self) -> RegulatedWriting:
        return RegulatedWriting(
            self._rules,
            live=self._live,
            group=self._group,
            used=self._used,
            line=self._line,
            position=self._position,
        )

    @property
    def _ways(self) -> Ways:
        return self._rules.ways[self._line]

    def _tone_asked_for(self) -> Tone:
        return self._ways.asked_for(self._live, self._position)

    def _closing(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rules.closing(
            rhymed=bool(self._live & self._ways.rhymed),
            unrhymed=bool(self._live & ~self._ways.rhymed),
            group=self._group,
            used=self._used,
        )

    def _end_line(self, last: str) -> None:
        if not self._live & ~self._ways.rhymed:
            self._used |= {last}
            self._group = self._group or self._group_of(last)
        patterns = self._ways.patterns(self._live)
        self._line += 1
        self._position = 0
        if self._line < self._rules.form.lines:
            self._live = self._ways.of_patterns(patterns)

    def _group_of(self, rhyme: str) -> str:
        """The group that a first rhyme settles: of those in the plan, the one of its likeliest reading."""
        book = self._rules.lexicon.book
        open_groups = level_groups(book.readings(rhyme)) & set(self._rules.plan.groups)
        return next(reading.group for reading in book.readings(rhyme) if reading.group in open_groups)
