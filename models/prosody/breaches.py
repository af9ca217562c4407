"""Names for what is irregular in the tones of a poem whose lines have been taken for their kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.prosody.faults import CHINESE, OPPOSITE, fault, ordinal, rescue, series
from models.prosody.patterns import Tone
from models.prosody.report import Fault, Rescue
from models.prosody.scansion import Fit, Masks
from models.prosody.variants import LEVEL, OBLIQUE

Tones = Sequence[Tone]

_TONES = {LEVEL: Tone.LEVEL, OBLIQUE: Tone.OBLIQUE}
_LONE_LEVEL = "ZPZZP"
_RESCUES = {
    "special_form": "The {third} and {fourth} characters have exchanged their tones, 仄平 for 平仄 (特拗); "
    "the {first} is 平, as that asks for.",
    "lone_level_rescue": "The {first} character is 仄, which would leave one level character alone (孤平); "
    "the {third}, 平, rescues the line (本句自救).",
    "great_deviation": "The {fourth} character is 仄 where 平 is asked for (大拗); "
    "the {third} of line {next}, 平, rescues it (对句救).",
    "minor_deviation": "The {third} character is 仄 where 平 is usual (小拗); tradition lets it stand.",
}
_MADE_UP_FOR = (
    "The {third} character is 仄 where 平 is usual (小拗); the {third} of line {next}, 平, makes up for it."
)


def tones_of(fit: Fit, masks: Masks) -> tuple[Tone, ...]:
    """What each character is read as: what its place asks for if it can be; EITHER where both would do."""
    tones = []
    for letter, mask in zip(fit.variant.template, masks, strict=True):
        tone = Tone(letter)
        tones.append(_TONES.get(mask, tone))
    return tuple(tones)


def tonal_faults(fits: Sequence[Fit], tones: Sequence[Tones]) -> list[Fault]:
    """The faults of tone, in the order of their lines."""
    found = [*_oppositions(fits, tones), *_adhesions(fits, tones)]
    found += _wrong_tones(fits, tones, {(each.line, place) for each in found for place in each.positions})
    for line, each in enumerate(tones):
        found += _endings(line, each)
    return sorted(found, key=lambda each: each.line)


def rescues_of(fits: Sequence[Fit], tones: Sequence[Tones]) -> list[Rescue]:
    """The irregular lines that tradition accepts, in their order."""
    return [_rescue(line, fits, tones) for line, fit in enumerate(fits) if fit.variant.rescue and fit.regular]


def _oppositions(fits: Sequence[Fit], tones: Sequence[Tones]) -> Iterator[Fault]:
    """失对: the 2nd, 4th or 6th characters of a couplet have one tone."""
    for line in range(0, len(fits), 2):
        rescued = fits[line].variant.irregular if fits[line].regular else ()
        alike = [
            place
            for place in range(1, len(tones[line]) - 1, 2)
            if tones[line][place] == tones[line + 1][place] and place not in rescued
        ]
        ours = [place for place in alike if _only(place, fits[line], fits[line + 1])]
        for guilty, places in ((line, ours), (line + 1, [place for place in alike if place not in ours])):
            if places:
                yield _opposition(line, guilty, places, fits, tones)


def _opposition(
    line: int, guilty: int, places: Sequence[int], fits: Sequence[Fit], tones: Sequence[Tones]
) -> Fault:
    alike = series(f"the {ordinal(place)} ({CHINESE[tones[guilty][place]]})" for place in places)
    evens = series(ordinal(place) for place in range(1, len(tones[line]) - 1, 2))
    text = (
        f"The {evens} characters of lines {line + 1} and {line + 2} must have opposite tones, "
        f"and are alike at {alike} (失对)."
    )
    return fault("lost_opposition", guilty, places, text + _hint(guilty, places, fits, tones))


def _hint(line: int, places: Sequence[int], fits: Sequence[Fit], tones: Sequence[Tones]) -> str:
    """How the line could have been rescued (拗救)."""
    kind, fourth = fits[line].variant.kind, len(tones[line]) - 2
    if list(places) != [fourth]:
        return ""
    if kind == "a" and fits[line + 1].variant.kind == "B":
        return f" A 平 as the {ordinal(fourth - 1)} character of line {line + 2} would rescue it (对句救)."
    if kind == "b" and tones[line][fourth - 1] == Tone.OBLIQUE:
        return f" With a 平 as the {ordinal(fourth - 3)} character the line would do (特拗)."
    return ""


def _adhesions(fits: Sequence[Fit], tones: Sequence[Tones]) -> Iterator[Fault]:
    """失粘: the 2nd characters of two couplets' meeting lines differ."""
    for line in range(2, len(fits), 2):
        before, here = tones[line - 1][1], tones[line][1]
        if before != here:
            guilty = line - 1 if _only(1, fits[line - 1], fits[line]) else line
            text = (
                f"The 2nd characters of lines {line} and {line + 1} must have the same tone, "
                f"and are {CHINESE[before]} and {CHINESE[here]} (失粘)."
            )
            yield fault("lost_adhesion", guilty, (1,), text)


def _only(place: int, one: Fit, other: Fit) -> bool:
    """Whether the first line deviates from its own kind at that place and the other does not."""
    return place in one.deviations and place not in other.deviations


def _wrong_tones(fits: Sequence[Fit], tones: Sequence[Tones], named: set[tuple[int, int]]) -> Iterator[Fault]:
    """Deviations that have no other name. The ends of rhymed lines are the rhyme's business."""
    for line, fit in enumerate(fits):
        last = len(tones[line]) - 1
        for place in fit.deviations:
            if place == last and fit.variant.kind.islower():
                text = "Only lines that rhyme end in a level tone (平); this one must end in 仄 (出句平收)."
                yield fault("level_ending", line, (place,), text)
            elif place != last and (line, place) not in named:
                tone = tones[line][place]
                text = (
                    f"The {ordinal(place)} character is {CHINESE[tone]}, "
                    f"and the line asks for {CHINESE[OPPOSITE[tone]]} there (平仄不合)."
                )
                yield fault("wrong_tone", line, (place,), text)


def _endings(line: int, tones: Tones) -> Iterator[Fault]:
    five, front = "".join(tones[-5:]), len(tones) - 5
    if five == _LONE_LEVEL:
        text = (
            f"Besides its rhyme the line has one level character, the {ordinal(front + 1)}, between oblique "
            f"ones (孤平): make the {ordinal(front)} 平, or the {ordinal(front + 2)}."
        )
        yield fault("lone_level", line, (front,), text)
    if five.endswith("PPP"):
        text = f"The line ends in three level tones (三平尾); make its {ordinal(front + 2)} character 仄."
        yield fault("three_level_ending", line, (front + 2,), text)
    if five.endswith("ZZZ"):
        text = f"The line ends in three oblique tones (三仄尾); better 平 as its {ordinal(front + 2)}."
        yield fault("three_oblique_ending", line, (front + 2,), text)


def _rescue(line: int, fits: Sequence[Fit], tones: Sequence[Tones]) -> Rescue:
    variant, front = fits[line].variant, len(tones[line]) - 5
    text = _RESCUES[variant.rescue]
    if variant.rescue == "minor_deviation" and tones[line + 1][-3] == Tone.LEVEL:
        text = _MADE_UP_FOR
    explanation = text.format(
        first=ordinal(front), third=ordinal(front + 2), fourth=ordinal(front + 3), next=line + 2
    )
    return rescue(variant.rescue, line, variant.irregular, explanation)
