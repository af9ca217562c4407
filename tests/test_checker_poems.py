"""The checker on poems by people: the good pass, the famous exceptions fail for the right reasons."""

from __future__ import annotations

import random
import time

import pytest

from models.prosody import FORMS, rhyme_book
from models.prosody.checker import check
from models.prosody.faults import FAULTS
from models.prosody.patterns import Tone
from models.prosody.readings import RARE
from models.prosody.report import Severity, Verdict
from verse import human_poems

POEMS = list(human_poems())
BOOK = rhyme_book("pingshui")
LEVEL, OBLIQUE = "山天云花", "月日木水"


def joined(lines):
    return "，".join(lines)


def errors(report):
    return {fault.kind for fault in report.faults if fault.severity is Severity.ERROR}


def only(tone, character):
    return {reading.tone for reading in BOOK.readings(character)} == {tone}


def kinds_of(poem):
    report = check(joined(poem.lines))
    return report.pattern.kinds(poem.form)


def changed(poem, *changes):
    """The lines with other characters at some (line, position)."""
    lines = [list(line) for line in poem.lines]
    for line, place, character in changes:
        lines[line][place] = character
    return joined("".join(line) for line in lines)


def opposite(poem, line, place):
    """A character of the other tone than the one that stands there, or None where that has both."""
    character = poem.lines[line][place]
    if only(Tone.LEVEL, character):
        return random.Random(character).choice(OBLIQUE)
    return random.Random(character).choice(LEVEL) if only(Tone.OBLIQUE, character) else None


@pytest.mark.parametrize("poem", POEMS, ids=lambda poem: poem.title)
def test_good_poems_pass(poem):
    report = check(joined(poem.lines))
    assert errors(report) == set()
    assert (report.conforms, report.form, report.rhyme_group) == (True, poem.form, poem.rhyme_group)
    assert report.pattern.quatrain == poem.quatrain
    assert [line.text for line in report.lines] == list(poem.lines)


EXCEPTIONS = {
    "渭城曲": ("渭城朝雨浥轻尘客舍青青柳色新劝君更尽一杯酒西出阳关无故人", {("lost_adhesion", 2, (1,))}),
    # Its third line has 仄 as its fourth character (去), as has the fourth line; its first line is rescued.
    "黄鹤楼": (
        "昔人已乘黄鹤去此地空余黄鹤楼黄鹤一去不复返白云千载空悠悠"
        "晴川历历汉阳树芳草萋萋鹦鹉洲日暮乡关何处是烟波江上使人愁",
        {("lost_opposition", 2, (3,))},
    ),
    "静夜思": (
        "床前明月光疑是地上霜举头望明月低头思故乡",
        {("lost_opposition", 1, (3,)), ("lost_opposition", 2, (1,)), ("lost_adhesion", 2, (1,))},
    ),
    "使至塞上": (
        "单车欲问边属国过居延征蓬出汉塞归雁入胡天大漠孤烟直长河落日圆萧关逢候骑都护在燕然",
        {("lost_adhesion", 2, (1,))},
    ),
    "春晓": (
        "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少",
        {
            ("oblique_rhyme", 1, (4,)),
            ("lost_adhesion", 2, (1,)),
            ("level_ending", 2, (4,)),
            ("oblique_rhyme", 3, (4,)),
        },
    ),
    # 八庚 for 八庚, but its first line has four oblique characters in a row.
    "望洞庭湖赠张丞相": (
        "八月湖水平涵虚混太清气蒸云梦泽波撼岳阳城欲济无舟楫端居耻圣明坐观垂钓者徒有羡鱼情",
        {("lost_opposition", 0, (3,))},
    ),
}


@pytest.mark.parametrize(("text", "expected"), EXCEPTIONS.values(), ids=EXCEPTIONS)
def test_famous_exceptions_fail_for_the_right_reasons(text, expected):
    report = check(text)
    assert not report.conforms
    found = {
        (fault.kind, fault.line, fault.positions)
        for fault in report.faults
        if fault.severity is Severity.ERROR
    }
    assert found == expected
    for kind, line, positions in expected:
        assert kind in FAULTS
        for place in positions:
            character = report.lines[line].characters[place]
            assert character.verdict is Verdict.FAULTY
            assert kind == "oblique_rhyme" or character.required is not character.tone


def test_what_rests_on_an_uncommon_reading_is_said():
    # 不 is level in few uses (as 否 at the end of a question); the line needs it as 平.
    report = check("白日依不尽，黄河入海流。欲穷千里目，更上一层楼。")
    assert 0 < sum(each.prior for each in BOOK.readings("不") if each.tone is Tone.LEVEL) < RARE
    assert (report.conforms, report.conforms_resolved) == (True, False)
    [fault] = report.faults
    assert (fault.kind, fault.line, fault.positions) == ("rare_reading", 0, (3,))
    assert fault.severity is Severity.WARNING


# Injected faults. Each function gives changed texts of one human poem, each with the line on which the fault
# of the function's name must be found; None where several lines will do.


def lost_opposition(poem):
    # A rescued line does not oppose its partner at the rescued place to begin with.
    rescued = {(each.line, place) for each in check(joined(poem.lines)).rescues for place in each.positions}
    for line in range(1, poem.form.lines, 2):
        for place in range(1, poem.form.characters - 1, 2):
            other = opposite(poem, line, place)
            if other and opposite(poem, line - 1, place) and (line - 1, place) not in rescued:
                yield changed(poem, (line, place, other)), line


def lost_adhesion(poem):
    for first in (0, 2) if poem.form.lines == 8 else ():
        # Couplets 1 and 3 have the same tones, 2 and 4 as well.
        lines = [*range(first, first + 2), *range(first + 4, first + 6)]
        if all(opposite(poem, line, 1) for line in lines):
            yield joined(poem.lines[line] for line in lines), 2


def wrong_tone(poem):
    """Both lines of a couplet wrong at one place: they still oppose each other."""
    for line in range(0, poem.form.lines, 2):
        place = poem.form.characters - 4
        ours, theirs = opposite(poem, line, place), opposite(poem, line + 1, place)
        if poem.form.characters == 7 and ours and theirs:
            yield changed(poem, (line, place, ours), (line + 1, place, theirs)), line


def lone_level(poem):
    first = poem.form.characters - 5
    for line, kind in enumerate(kinds_of(poem)):
        # Line 1 with another reading of its last character need not rhyme: then it is another kind of line.
        if kind == "B" and (line or only(Tone.LEVEL, poem.lines[0][-1])):
            yield changed(poem, (line, first, "月"), (line, first + 2, "木")), line


def three_level_ending(poem):
    for line, kind in enumerate(kinds_of(poem)):
        if kind == "A" and (line or only(Tone.LEVEL, poem.lines[0][-1])):
            yield changed(poem, (line, poem.form.characters - 3, "山")), line


def level_ending(poem):
    for line in range(2, poem.form.lines, 2):
        yield changed(poem, (line, poem.form.characters - 1, "山")), line


def oblique_rhyme(poem):
    for line in range(1, poem.form.lines, 2):
        yield changed(poem, (line, poem.form.characters - 1, "木")), line


def wrong_rhyme(poem):
    other = "东" if poem.rhyme_group in ("十一尤", "十灰") else "愁"
    for line in range(1, poem.form.lines, 2):
        text = changed(poem, (line, poem.form.characters - 1, other))
        # Of two rhymes that differ, it is open which one is wrong.
        yield text, line if poem.form.lines == 8 else None


def repeated_rhyme(poem):
    yield changed(poem, (3, poem.form.characters - 1, poem.lines[1][-1])), 3


def wrong_length(poem):
    lines = list(poem.lines)
    lines[2] = lines[2][1:]
    yield joined(lines), 2


def wrong_line_count(poem):
    yield joined(poem.lines[:-1]), poem.form.lines - 2
    yield joined(poem.lines[:2]), 1


INJECTIONS = (
    lost_opposition,
    lost_adhesion,
    wrong_tone,
    lone_level,
    three_level_ending,
    level_ending,
    oblique_rhyme,
    wrong_rhyme,
    repeated_rhyme,
    wrong_length,
    wrong_line_count,
)


def test_every_kind_of_error_is_injected():
    assert {inject.__name__ for inject in INJECTIONS} == {
        kind for kind, (_, severity) in FAULTS.items() if severity is Severity.ERROR
    }


@pytest.mark.parametrize("inject", INJECTIONS, ids=lambda inject: inject.__name__)
def test_an_injected_fault_is_caught_and_named(inject):
    count = 0
    for poem in POEMS:
        for text, line in inject(poem):
            report = check(text)
            named = [fault for fault in report.faults if fault.kind == inject.__name__]
            assert not report.conforms, (poem.title, text)
            assert named, (poem.title, text, report.faults)
            assert line is None or line in {fault.line for fault in named}, (poem.title, text, report.faults)
            assert all(fault.severity is Severity.ERROR for fault in named)
            count += 1
    assert count >= 20


def clashing(poem):
    """A word that sounds like the rhyme, but is oblique; None where the rhyme has several sounds."""
    sounds = rhyme_book("cilin")
    groups = {reading.group for line in poem.lines[1::2] for reading in sounds.readings(line[-1])}
    for word in "动奉绛此子起语古海改尽本晚远晓草我火马野静影有酒甚感点":
        if {(each.group, each.tone) for each in sounds.readings(word)} == {(*groups, Tone.OBLIQUE)}:
            return word
    return None


def test_clashing_rhymes_are_warned_of():
    count = 0
    for poem in POEMS:
        word = clashing(poem)
        if word:
            report = check(changed(poem, (2, poem.form.characters - 1, word)))
            assert report.conforms, (poem.title, report.faults)
            assert (2, "clashing_rhyme") in {(fault.line, fault.kind) for fault in report.faults}, poem.title
            count += 1
    assert count >= 10


def test_line_1_may_borrow_a_neighbouring_rhyme_and_no_other_line_may():
    neighbours = {
        "一东": "龙",
        "十灰": "池",
        "十五删": "寒",
        "七虞": "书",
        "十一真": "云",
        "八庚": "星",
        "九青": "城",
    }
    count = 0
    for poem in POEMS:
        word = neighbours.get(poem.rhyme_group)
        if word and poem.quatrain[0].isupper():
            report = check(changed(poem, (0, poem.form.characters - 1, word)))
            assert report.conforms, (poem.title, report.faults)
            assert (0, "neighbouring_rhyme") in {(fault.line, fault.kind) for fault in report.faults}
            last = poem.form.lines - 1
            report = check(changed(poem, (last, poem.form.characters - 1, word)))
            assert "wrong_rhyme" in errors(report)
            count += 1
    assert count >= 10


def test_faults_stand_in_the_order_of_their_lines_and_inside_the_poem():
    random_state = random.Random(5)
    characters = [character for poem in POEMS for line in poem.lines for character in line]
    for _ in range(200):
        form = random_state.choice(list(FORMS.values()))
        lines = ["".join(random_state.choices(characters, k=form.characters)) for _ in range(form.lines)]
        report = check(joined(lines))
        assert report.form is form
        assert report.conforms == (errors(report) == set())
        assert report.conforms or not report.conforms_resolved
        assert [fault.line for fault in report.faults] == sorted(fault.line for fault in report.faults)
        for fault in report.faults:
            assert 0 <= fault.line < form.lines
            assert all(0 <= place < form.characters for place in fault.positions)
        faulty = {
            (fault.line, place)
            for fault in report.faults
            if fault.severity is Severity.ERROR
            for place in fault.positions
        }
        for line, each in enumerate(report.lines):
            for place, character in enumerate(each.characters):
                assert (character.verdict is Verdict.FAULTY) == ((line, place) in faulty)
        assert not report.conforms or not faulty


def test_a_poem_takes_about_a_millisecond():
    texts = [joined(poem.lines) for poem in POEMS]
    for text in texts:
        check(text)
    started = time.process_time()
    for text in texts:
        check(text)
    # A hundred times the 0.5 ms that it takes would be an algorithm gone wrong, not a slow machine.
    assert (time.process_time() - started) / len(texts) < 0.01
