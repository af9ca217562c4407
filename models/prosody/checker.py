"""Does a text keep the rules of regulated verse (近体诗), and if not, where and why?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.prosody.books import RhymeBook, rhyme_book
from models.prosody.breaches import Tones, rescues_of, tonal_faults, tones_of
from models.prosody.faults import CHINESE, OPPOSITE, fault, series
from models.prosody.forms import Form
from models.prosody.lines import verse_lines
from models.prosody.patterns import Pattern, Tone
from models.prosody.readings import Readings, share_of_level, tones, usual
from models.prosody.report import CharacterCheck, Fault, LineCheck, Report, Rescue, Severity, Verdict
from models.prosody.rhyme import opens, rhyme_faults, rhyme_group
from models.prosody.scansion import Fit, pattern_of, scan
from models.prosody.shape import form_of, misshapen
from models.prosody.variants import BITS, BOTH, OBLIQUE, required

Grid = Sequence[Sequence[Readings]]
"""The readings of each character of each line."""


def check(text: str, *, book: RhymeBook | None = None, form: Form | None = None) -> Report:
    """Check a poem.

    A character with several readings is taken to have the one that suits its place; one that the book lacks
    suits every place, and is a warning.

    Args:
        text: the poem, with or without punctuation, line breaks, notes in brackets, and a title above it.
        book: where tones and rhymes are looked up; 平水韵 where none is given.
        form: the form it should have; None finds it.
    """
    book = book or rhyme_book("pingshui")
    lines = verse_lines(text, form)
    grid = [[book.readings(character) for character in line] for line in lines]
    found = form_of(lines, form)
    if found is None:
        return _formless(lines, grid, book, form)
    judged = _judge(lines, grid, book)
    faults = sorted(
        [*judged.faults, *_rare(lines, judged.fits), *_unknown(lines, grid)], key=lambda each: each.line
    )
    return Report(
        form=found,
        pattern=judged.pattern,
        rhyme_book=book.name,
        rhyme_group=judged.group,
        conforms=judged.conforms,
        conforms_resolved=judged.conforms and _resolved(lines, grid, book, judged),
        lines=tuple(_lines(lines, grid, judged)),
        faults=tuple(faults),
        rescues=tuple(judged.rescues),
    )


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What follows from one set of readings."""

    fits: tuple[Fit, ...]
    tones: tuple[Tones, ...]
    group: str
    faults: list[Fault]
    rescues: list[Rescue]

    @property
    def conforms(self) -> bool:
        return all(each.severity is not Severity.ERROR for each in self.faults)

    @property
    def pattern(self) -> Pattern:
        return pattern_of(self.fits)


def _judge(lines: Sequence[str], grid: Grid, book: RhymeBook) -> _Judgement:
    lasts = [row[-1] for row in grid]
    group = rhyme_group(book, lasts)
    masks = [[tones(readings) for readings in row] for row in grid]
    common = [[tones(usual(readings)) for readings in row] for row in grid]
    if masks[0][-1] == BOTH and lasts[0] and not opens(book, lasts[0], group):
        # With a level reading that does not rhyme it would be at fault.
        masks[0][-1] = OBLIQUE
    fits = scan(masks, common, rhyme_first=share_of_level(lasts[0]) >= 0.5)
    heard = tuple(tones_of(fit, row) for fit, row in zip(fits, masks, strict=True))
    rhymed = [fit.variant.kind.isupper() for fit in fits]
    return _Judgement(
        fits=fits,
        tones=heard,
        group=group,
        faults=[*tonal_faults(fits, heard), *rhyme_faults(book, group, lines, lasts, rhymed)],
        rescues=rescues_of(fits, heard),
    )


def _resolved(lines: Sequence[str], grid: Grid, book: RhymeBook, judged: _Judgement) -> bool:
    """Whether a poem that conforms does so without the readings of uncommon tones."""
    if not any(fit.rare for fit in judged.fits):
        return True
    return _judge(lines, [[usual(readings) for readings in row] for row in grid], book).conforms


def _lines(lines: Sequence[str], grid: Grid, judged: _Judgement) -> Iterator[LineCheck]:
    errors = {
        (each.line, place)
        for each in judged.faults
        if each.severity is Severity.ERROR
        for place in each.positions
    }
    rescued = {(each.line, place) for each in judged.rescues for place in each.positions}
    for line, text in enumerate(lines):
        asked = required(judged.fits[line].variant.kind, len(text))
        characters = []
        for place, character in enumerate(text):
            tone, wanted = judged.tones[line][place], Tone(asked[place])
            verdict = Verdict.GOOD
            if (line, place) in errors:
                verdict = Verdict.FAULTY
                # A good line out of step is right in itself; its neighbours ask for something else.
                wanted = OPPOSITE.get(tone, wanted) if place % 2 and place < len(text) - 1 else wanted
            elif not grid[line][place]:
                verdict = Verdict.UNKNOWN
            elif (line, place) in rescued:
                verdict = Verdict.RESCUED
            characters.append(_character(character, grid[line][place], tone, wanted, verdict))
        yield LineCheck(
            text=text, characters=tuple(characters), rhymed=judged.fits[line].variant.kind.isupper()
        )


def _character(
    text: str, readings: Readings, tone: Tone | None, wanted: Tone | None, verdict: Verdict
) -> CharacterCheck:
    return CharacterCheck(
        text=text, tone=tone if readings else None, readings=readings, required=wanted, verdict=verdict
    )


def _unknown(lines: Sequence[str], grid: Grid) -> Iterator[Fault]:
    for line, (text, row) in enumerate(zip(lines, grid, strict=True)):
        places = [place for place, readings in enumerate(row) if not readings]
        if places:
            words = "、".join(text[place] for place in places)
            explanation = (
                f"The rhyme book does not know {words} (生僻字); what it sounds like could not be checked."
            )
            yield fault("unknown_character", line, places, explanation)


def _rare(lines: Sequence[str], fits: Sequence[Fit]) -> Iterator[Fault]:
    for line, (text, fit) in enumerate(zip(lines, fits, strict=True)):
        if fit.rare:
            asked = fit.variant.template
            words = series(f"{text[place]} as {CHINESE[Tone(asked[place])]}" for place in fit.rare)
            explanation = f"The line is good only with {words}: an uncommon reading (多音字)."
            yield fault("rare_reading", line, fit.rare, explanation)


def _formless(lines: Sequence[str], grid: Grid, book: RhymeBook, wanted: Form | None) -> Report:
    """The tones of a text that has no form, and why it has none."""
    checked = []
    for text, row in zip(lines, grid, strict=True):
        characters = (
            _character(
                character, readings, _tone(readings), None, Verdict.GOOD if readings else Verdict.UNKNOWN
            )
            for character, readings in zip(text, row, strict=True)
        )
        checked.append(LineCheck(text=text, characters=tuple(characters), rhymed=False))
    faults = sorted([*misshapen(lines, wanted), *_unknown(lines, grid)], key=lambda each: each.line)
    return Report(
        form=None,
        pattern=None,
        rhyme_book=book.name,
        rhyme_group="",
        conforms=False,
        conforms_resolved=False,
        lines=tuple(checked),
        faults=tuple(faults),
        rescues=(),
    )


def _tone(readings: Readings) -> Tone:
    return {BITS[tone]: tone for tone in Tone}[tones(readings)]
