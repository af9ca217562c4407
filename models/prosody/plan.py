"""Which tonal patterns and which rhymes the fixed characters of a wish leave possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.prosody.forms import Form
from models.prosody.lexicon import Lexicon, tones_of
from models.prosody.patterns import Pattern, Tone, line_templates
from models.prosody.readings import level_groups
from models.prosody.rules import ImpossibleRules, Place, Rules

# So many usual rhyme words must a group have for each rhyme of the poem before the poet may choose it.
_ROOM = 5


@dataclass(frozen=True, kw_only=True)
class LinePlan:
    """One way to write a line: the template of one kind, in one pattern."""

    pattern: str
    template: str
    rhymed: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is left open.

    Attributes:
        lines: for each line, the ways to write it; patterns that some line rules out are in none.
        groups: the rhyme groups to choose from; one, where it is settled.
        taken: rhyme words that fixed characters hold already.
    """

    lines: tuple[tuple[LinePlan, ...], ...]
    groups: tuple[str, ...]
    taken: frozenset[str]


def make_plan(form: Form, rules: Rules, lexicon: Lexicon) -> Plan:
    """The plan of a wish. Raises ImpossibleRules, saying what stands against what."""
    taken = _fixed_rhymes(form, rules.fixed)
    groups = _groups(form, rules, lexicon, list(taken.values()))
    lines: list[list[LinePlan]] = [[] for _ in range(form.lines)]
    reasons = []
    for pattern in rules.patterns:
        try:
            ways = [list(_ways(pattern, form, line, rules, groups)) for line in range(form.lines)]
        except ImpossibleRules as reason:
            reasons.append(f"{pattern.chinese(form)}: {reason}")
            continue
        for found, way in zip(lines, ways, strict=True):
            found += way
    if not lines[0]:
        raise ImpossibleRules(f"no tonal pattern of {form.chinese} allows it; {'; '.join(reasons)}")
    return Plan(
        lines=tuple(map(tuple, lines)),
        groups=groups,
        taken=frozenset(taken.values()) | _first_rhyme(form, rules.fixed),
    )


def _fixed_rhymes(form: Form, fixed: Mapping[Place, str]) -> dict[int, str]:
    """The fixed characters at the ends of the lines that rhyme in every pattern."""
    rhymes = {
        line: fixed[line, form.characters - 1]
        for line in range(1, form.lines, 2)
        if (line, form.characters - 1) in fixed
    }
    repeated = [character for character in rhymes.values() if list(rhymes.values()).count(character) > 1]
    if repeated:
        raise ImpossibleRules(f"{repeated[0]} would be a rhyme word twice (重韵)")
    return rhymes


def _first_rhyme(form: Form, fixed: Mapping[Place, str]) -> frozenset[str]:
    return frozenset(fixed.get((0, form.characters - 1), ""))


def _groups(form: Form, rules: Rules, lexicon: Lexicon, rhymes: list[str]) -> tuple[str, ...]:
    """The groups to choose from: the one that is named or that fixed rhymes need, else all with room."""
    usual = lexicon.usual_words
    needed = form.lines // 2 + 1
    if rhymes:
        common = _common_groups(rules, rhymes)
        named: tuple[str, ...] = (rules.rhyme_group or max(common, key=usual.__getitem__),)
    elif rules.rhyme_group:
        named = (rules.rhyme_group,)
    else:
        roomy = tuple(group for group, words in usual.items() if words >= needed * _ROOM)
        # A vocabulary may be so small that no group has room; then any that has words at all.
        named = roomy or tuple(usual)
    enough = tuple(group for group in named if lexicon.words[group] >= needed)
    if not enough:
        words = max(lexicon.words[group] for group in named)
        groups = named[0] if len(named) == 1 else f"any group of {rules.rhymes.chinese}"
        raise ImpossibleRules(f"the poet knows {words} rhymes in {groups}, {form.chinese} needs {needed}")
    return enough


def _common_groups(rules: Rules, rhymes: list[str]) -> frozenset[str]:
    """The groups that all fixed rhymes share, or of these the one that is named."""
    common = frozenset.intersection(*(level_groups(rules.rhymes.readings(character)) for character in rhymes))
    words = " and ".join(rhymes)
    if not common:
        raise ImpossibleRules(f"{words} cannot rhyme in level tone in {rules.rhymes.chinese}")
    if rules.rhyme_group and rules.rhyme_group not in common:
        raise ImpossibleRules(f"{words} cannot rhyme in {rules.rhyme_group}")
    return common


def _ways(
    pattern: Pattern, form: Form, line: int, rules: Rules, groups: tuple[str, ...]
) -> Iterator[LinePlan]:
    """The ways to write a line around its fixed characters. Raises ImpossibleRules where there is none."""
    kind = pattern.kinds(form)[line]
    templates = line_templates(kind, form.characters)
    fixed = {position: character for (row, position), character in rules.fixed.items() if row == line}
    fitting = [template for template in templates if _misfit(template, fixed, rules) is None]
    if not fitting:
        position = min(
            p for p in (_misfit(template, fixed, rules) for template in templates) if p is not None
        )
        raise ImpossibleRules(
            f"line {line + 1}, place {position + 1} asks for {_chinese(templates[0][position])}, "
            f"{fixed[position]} is {_chinese(*tones_of(rules.rhymes, fixed[position]))}"
        )
    last = fixed.get(form.characters - 1)
    if kind.isupper() and last and not level_groups(rules.rhymes.readings(last)) & set(groups):
        raise ImpossibleRules(f"line {line + 1} rhymes, and {last} is not in {' '.join(groups)}")
    for template in fitting:
        yield LinePlan(pattern=pattern.name, template=template, rhymed=kind.isupper())


def _misfit(template: str, fixed: Mapping[int, str], rules: Rules) -> int | None:
    """The first position whose fixed character has not the tone that `template` asks for."""
    for position, character in sorted(fixed.items()):
        if template[position] != Tone.EITHER and template[position] not in tones_of(rules.rhymes, character):
            return position
    return None


def _chinese(*tones: str) -> str:
    return "或".join(
        {Tone.LEVEL: "平", Tone.OBLIQUE: "仄", Tone.EITHER: "平或仄"}[Tone(tone)] for tone in sorted(tones)
    )
