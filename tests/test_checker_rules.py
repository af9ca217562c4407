"""Every way a line may go, one by one: which are good, which are rescued, which are faults, by name."""

from __future__ import annotations

from itertools import product

import pytest

from models.prosody import FORMS, PATTERNS, rhyme_book
from models.prosody.checker import check
from models.prosody.faults import FAULTS, RESCUES
from models.prosody.patterns import Tone
from models.prosody.report import Severity, Verdict
from verse import ALL, CHARACTERS, RHYME_GROUP, RHYMES, made, standard

# The last five characters of the lines that tradition accepts, written out by hand after 王力.
GOOD = {
    "a": {"PZPPZ", "ZZPPZ", "PZZPZ", "ZZZPZ"},
    "b": {"PPPZZ", "ZPPZZ", "PPZPZ", "PPZZZ", "ZPZZZ"},
    "A": {"PZZPP", "ZZZPP"},
    "B": {"PPZZP", "PPPZP", "ZPPZP"},
}
# Accepted where the next line, B, has a level third-last character.
GOOD_BEFORE_LEVEL = {"PZPZZ", "ZZPZZ", "PZZZZ", "ZZZZZ"}


def errors(report):
    return {fault.kind for fault in report.faults if fault.severity is Severity.ERROR}


def warnings(report):
    return {fault.kind for fault in report.faults if fault.severity is Severity.WARNING}


def patterns_with(kind, form):
    found = [pattern for pattern in PATTERNS.values() if kind in pattern.kinds(form)]
    assert found
    return found


def test_the_characters_are_what_they_should_be():
    book = rhyme_book("pingshui")
    for tone in (Tone.LEVEL, Tone.OBLIQUE):
        assert all({each.tone for each in book.readings(letter)} == {tone} for letter in CHARACTERS[tone])
    assert all([each.group for each in book.readings(word)] == [RHYME_GROUP] for word in RHYMES)


@pytest.mark.parametrize(("pattern", "form"), ALL, ids=lambda value: value.name)
def test_each_pattern_in_each_form_is_good_and_is_found(pattern, form):
    report = check("\n".join(made(standard(pattern, form))))
    assert (report.conforms, report.conforms_resolved, report.faults, report.rescues) == (True, True, (), ())
    assert (report.form, report.pattern, report.rhyme_group) == (form, pattern, RHYME_GROUP)
    assert [line.rhymed for line in report.lines] == [kind.isupper() for kind in pattern.kinds(form)]
    for line, template in zip(report.lines, standard(pattern, form), strict=True):
        assert all(character.verdict is Verdict.GOOD for character in line.characters)
        for character, letter in zip(line.characters, template, strict=True):
            assert letter in (Tone.EITHER, character.tone)
            assert character.required in (Tone.EITHER, character.tone)


@pytest.mark.parametrize(("pattern", "form"), ALL, ids=lambda value: value.name)
def test_every_line_is_good_exactly_where_tradition_accepts_it(pattern, form):
    for number, kind in enumerate(pattern.kinds(form)):
        for five in map("".join, product("PZ", repeat=5)):
            tones = standard(pattern, form)
            tones[number] = tones[number][:-5] + five
            # Line 1 may rhyme or not, which makes another pattern of it.
            accepted = five in GOOD[kind] or (number == 0 and five in GOOD[kind.swapcase()])
            assert check("\n".join(made(tones))).conforms == accepted, (number, kind, five)
            if kind == "a" or (number == 0 and kind == "A"):
                tones[number + 1] = tones[number + 1][:-5] + "PPPZP"
                accepted |= five in GOOD_BEFORE_LEVEL
                assert check("\n".join(made(tones))).conforms == accepted, (number, kind, five)


@pytest.mark.parametrize(
    ("kind", "five", "named"),
    [
        ("B", "ZPZZP", {"lone_level"}),
        ("A", "ZZPPP", {"three_level_ending"}),
        ("a", "ZZPZZ", {"lost_opposition"}),
        ("b", "ZPZPZ", {"lost_opposition"}),
        ("b", "PPPPZ", {"lost_opposition"}),
        ("B", "PPPPP", {"lost_opposition", "three_level_ending"}),
        ("A", "ZZZZP", {"lost_opposition"}),
    ],
)
@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_faulty_lines_are_named(form, kind, five, named):
    for pattern in patterns_with(kind, form):
        number = pattern.kinds(form).rindex(kind)
        tones = standard(pattern, form)
        tones[number] = tones[number][:-5] + five
        report = check("\n".join(made(tones)))
        assert errors(report) == named
        assert {fault.line for fault in report.faults if fault.severity is Severity.ERROR} == {number}
        for fault in report.faults:
            assert (fault.name, fault.severity) == FAULTS[fault.kind]
            assert fault.name in fault.explanation


@pytest.mark.parametrize(
    ("kind", "five", "after", "named", "places"),
    [
        ("b", "PPZPZ", None, "special_form", (2, 3)),
        ("B", "ZPPZP", None, "lone_level_rescue", (0,)),
        ("a", "ZZPZZ", "PPPZP", "great_deviation", (3,)),
        ("a", "ZZZZZ", "PPPZP", "great_deviation", (3,)),
        ("a", "PZZPZ", None, "minor_deviation", (2,)),
    ],
)
@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_rescues_are_recognised(form, kind, five, after, named, places):
    for pattern in patterns_with(kind, form):
        number = pattern.kinds(form).rindex(kind)
        tones = standard(pattern, form)
        tones[number] = tones[number][:-5] + five
        if after:
            tones[number + 1] = tones[number + 1][:-5] + after
        report = check("\n".join(made(tones)))
        [found] = report.rescues
        expected = tuple(place + form.characters - 5 for place in places)
        assert (found.kind, found.line, found.positions) == (named, number, expected)
        assert found.name == RESCUES[named]
        assert report.conforms
        verdicts = [character.verdict for character in report.lines[number].characters]
        assert all(
            (verdicts[place] is Verdict.RESCUED) == (place in expected) for place in range(form.characters)
        )


def test_the_lone_level_rescue_rescues_the_line_before_as_well():
    tones = standard(PATTERNS["a_unrhymed"], FORMS["qilv"])
    tones[4], tones[5] = tones[4][:-5] + "ZZPZZ", tones[5][:-5] + "ZPPZP"
    report = check("\n".join(made(tones)))
    assert report.conforms
    assert [(rescue.line, rescue.kind) for rescue in report.rescues] == [
        (4, "great_deviation"),
        (5, "lone_level_rescue"),
    ]


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_three_oblique_ends_are_a_warning(form):
    tones = standard(PATTERNS["b_unrhymed"], form)
    tones[0] = tones[0][:-5] + "PPZZZ"
    report = check("\n".join(made(tones)))
    assert report.conforms
    assert warnings(report) == {"three_oblique_ending"}


def test_the_seven_character_head_is_checked_too():
    tones = standard(PATTERNS["a_unrhymed"], FORMS["qijue"])
    tones[3] = "PZP" + tones[3][3:]
    report = check("\n".join(made(tones)))
    [fault] = report.faults
    assert (fault.kind, fault.line, fault.positions) == ("lost_opposition", 3, (1,))
    assert report.lines[3].characters[1].verdict is Verdict.FAULTY
    assert report.lines[3].characters[1].required is Tone.LEVEL


def test_a_tone_that_is_wrong_in_both_lines_of_a_couplet_is_named_all_the_same():
    tones = standard(PATTERNS["a_unrhymed"], FORMS["wulv"])
    tones[4], tones[5] = "ZZPZZ", "PPZPP"
    report = check("\n".join(made(tones)))
    assert errors(report) == {"wrong_tone"}
    assert [(fault.line, fault.positions) for fault in report.faults] == [(4, (3,)), (5, (3,))]


def test_orthodox_patterns():
    orthodox = {
        (pattern.name, form.characters)
        for pattern, form in ALL
        if check("\n".join(made(standard(pattern, form)))).orthodox
    }
    assert orthodox == {("a_unrhymed", 5), ("a_rhymed", 7), ("b_rhymed", 7)}
    report = check("\n".join(made(standard(PATTERNS["a_unrhymed"], FORMS["wujue"]))))
    assert report.pattern_name == "仄起首句不入韵（正格）"
    assert not report.first_line_rhymes
