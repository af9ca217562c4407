"""What a poem rhymes in, and which of its lines do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from models.prosody.books import RhymeBook, rhyme_book
from models.prosody.faults import fault
from models.prosody.patterns import Tone
from models.prosody.readings import Readings, groups_of, level_groups
from models.prosody.report import Fault


def rhyme_group(book: RhymeBook, lasts: Sequence[Readings]) -> str:
    """The group that most of the even lines rhyme in; empty where they have no reading.

    It is a level group unless most of them can only be oblique. Where two groups have as many lines, line 1
    decides, then the readings' priors, then the order of the book.

    Args:
        lasts: the readings of each line's last character.
    """
    evens = [readings for readings in lasts[1::2] if readings]
    oblique = sum(not level_groups(readings) for readings in evens)
    tone = Tone.OBLIQUE if 2 * oblique > len(evens) else Tone.LEVEL
    votes: dict[str, int] = defaultdict(int)
    priors: dict[str, float] = defaultdict(float)
    for readings in evens:
        for group in groups_of(readings, tone):
            votes[group] += 1
        for reading in readings:
            priors[reading.group] += reading.prior
    first = groups_of(lasts[0], tone) if lasts else frozenset()
    # The names begin with their number in the book, but 十 sorts before 二: ask the book itself.
    order = {group: place for place, group in enumerate(book.level_groups)}
    return max(
        sorted(votes, key=lambda group: order.get(group, len(order))),
        key=lambda group: (votes[group], group in first, priors[group]),
        default="",
    )


def opens(book: RhymeBook, readings: Readings, group: str) -> bool:
    """Whether line 1 may end so and count as rhymed: in the poem's group or a neighbour of it (邻韵)."""
    return bool(level_groups(readings) & {group, *book.neighbours(group)})


def rhyme_faults(
    book: RhymeBook, group: str, lines: Sequence[str], lasts: Sequence[Readings], rhymed: Sequence[bool]
) -> list[Fault]:
    """The faults of rhyme, in the order of their lines.

    Args:
        lasts: the readings of each line's last character.
        rhymed: which lines must rhyme.
    """
    found: list[Fault] = []
    known = [rhymes and bool(readings) for rhymes, readings in zip(rhymed, lasts, strict=True)]
    for line, readings in enumerate(lasts):
        place = len(lines[line]) - 1
        if rhymed[line]:
            found += _rhymed(book, group, line, place, readings)
    return sorted(
        [*found, *_repeated(lines, known), *_clashes(book, group, lines, rhymed)], key=lambda each: each.line
    )


def _rhymed(book: RhymeBook, group: str, line: int, place: int, readings: Readings) -> Iterator[Fault]:
    groups = level_groups(readings)
    if not readings or group in groups:
        return
    if line == 0 and group not in book.level_groups:
        # The poem rhymes in an oblique tone: its even lines are at fault.
        return
    own = "、".join(sorted(groups))
    if not groups:
        text = "Regulated verse rhymes in level tones (平); this line ends in an oblique one (押仄声)."
        yield fault("oblique_rhyme", line, (place,), text)
    elif line == 0 and groups & book.neighbours(group):
        text = f"Line 1 rhymes in a neighbouring group, {own} for {group} (邻韵), as only line 1 may."
        yield fault("neighbouring_rhyme", line, (place,), text)
    else:
        text = f"The poem rhymes in {group}, and this character is in {own} (出韵)."
        if groups & book.neighbours(group):
            text += " That is a neighbouring group, which only line 1 may borrow from (邻韵)."
        yield fault("wrong_rhyme", line, (place,), text)


def _repeated(lines: Sequence[str], rhymed: Sequence[bool]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for line, text in enumerate(lines):
        if rhymed[line]:
            first = seen.setdefault(text[-1], line)
            if first != line:
                yield fault(
                    "repeated_rhyme",
                    line,
                    (len(text) - 1,),
                    f"{text[-1]} is the rhyme word of line {first + 1} already (重韵).",
                )


def _clashes(book: RhymeBook, group: str, lines: Sequence[str], rhymed: Sequence[bool]) -> Iterator[Fault]:
    """撞韵: an unrhymed line ends in the rhyme's own sound, though in an oblique tone."""
    if group not in book.level_groups:
        return
    # 平水韵 gives the tones of one sound different names, 词林正韵 the same.
    sounds = rhyme_book("cilin") if book.name == "pingshui" else book
    rhymes = [text[-1] for text, is_rhymed in zip(lines, rhymed, strict=True) if is_rhymed]
    sound = rhyme_group(sounds, [reading for word in rhymes for reading in ((), sounds.readings(word))])
    for line, text in enumerate(lines):
        oblique = [reading for reading in sounds.readings(text[-1]) if reading.tone is Tone.OBLIQUE]
        if not rhymed[line] and oblique and oblique[0].group == sound:
            yield fault(
                "clashing_rhyme",
                line,
                (len(text) - 1,),
                "The line does not rhyme, but ends in the sound of the rhyme (撞韵); better another.",
            )
