"""Texts as people type and paste them: marks, spaces, titles, notes, unknown characters, wrong lengths."""

from __future__ import annotations

import pytest

from models.prosody import FORMS, rhyme_book
from models.prosody.checker import check
from models.prosody.lines import verse_lines
from models.prosody.report import Severity, Verdict

TOWER = ["白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"]
PLAIN = "".join(TOWER)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
        "白日依山尽,黄河入海流.欲穷千里目,更上一层楼.",
        "白日依山尽\n黄河入海流\n欲穷千里目\n更上一层楼\n",
        "白日依山尽，黄河入海流。\r\n欲穷千里目，更上一层楼。\r\n",
        "白日依山尽 黄河入海流 欲穷千里目 更上一层楼",
        "　　白日依山尽，黄河入海流。\n\n　　欲穷千里目，更上一层楼！",
        "白日依山尽黄河入海流\n欲穷千里目更上一层楼",
        "白 日 依 山 尽 黄 河 入 海 流 欲 穷 千 里 目 更 上 一 层 楼",
        "白日 依山尽，黄河 入海流。欲穷 千里目，更上 一层楼。",
        "白日，依山尽\n黄河，入海流\n欲穷，千里目\n更上，一层楼",
        "“白日依山尽，黄河入海流。”《欲穷千里目》，更上一层楼……",
        "白日依山尽（一作昼），黄河入海流[1]。欲穷千里目，更上一层楼【注】。",
        "登鹳雀楼\n王之涣\n白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
        "登鹳雀楼（唐）王之涣\n\n白日依山尽\n黄河入海流\n欲穷千里目\n更上一层楼",
        "登高一望远\n白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。",
    ],
)
def test_lines_are_found(text):
    assert verse_lines(text) == TOWER
    report = check(text)
    assert (report.form, report.conforms) == (FORMS["wujue"], True)


def test_the_forms_are_told_by_their_lengths():
    assert len(verse_lines("山" * 28)) == 4
    assert len(verse_lines("山" * 40)) == 8
    assert [len(line) for line in verse_lines("山" * 56)] == [7] * 8


def test_a_break_inside_a_line_is_not_healed():
    assert [len(line) for line in verse_lines("白日依山，尽黄河入海流。欲穷千里目，更上一层楼。")] == [
        4,
        6,
        5,
        5,
    ]


def test_traditional_characters_are_the_same():
    simplified = "岐王宅里寻常见，崔九堂前几度闻。正是江南好风景，落花时节又逢君。"
    traditional = "岐王宅裏尋常見，崔九堂前幾度聞。正是江南好風景，落花時節又逢君。"
    one, other = check(simplified), check(traditional)
    assert other.lines[0].text == "岐王宅裏尋常見"
    assert (one.conforms, one.pattern, one.rhyme_group) == (other.conforms, other.pattern, other.rhyme_group)
    assert [rescue.kind for rescue in other.rescues] == ["special_form"]
    assert [[each.tone for each in line.characters] for line in one.lines] == [
        [each.tone for each in line.characters] for line in other.lines
    ]


@pytest.mark.parametrize("unknown", ["□", "𰻝"])
def test_an_unknown_character_is_a_warning_and_suits_every_place(unknown):
    report = check(PLAIN.replace("千", unknown))
    assert report.conforms
    [fault] = report.faults
    assert (fault.kind, fault.line, fault.positions) == ("unknown_character", 2, (2,))
    assert (fault.severity, unknown in fault.explanation) == (Severity.WARNING, True)
    character = report.lines[2].characters[2]
    assert (character.text, character.verdict, character.tone, character.readings) == (
        unknown,
        Verdict.UNKNOWN,
        None,
        (),
    )


def test_unknown_rhymes_leave_the_others_to_decide():
    report = check(PLAIN.replace("楼", "□"))
    assert (report.conforms, report.rhyme_group) == (True, "十一尤")
    report = check("□" * 20)
    assert (report.form, report.conforms, report.rhyme_group) == (FORMS["wujue"], True, "")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", [("wrong_line_count", 0)]),
        ("白日依山尽", [("wrong_line_count", 0)]),
        ("白日依山尽，黄河入海流，欲穷千里目，更上层楼", [("wrong_length", 3)]),
        ("白日依山尽，黄河入海流，欲穷千里目", [("wrong_line_count", 2)]),
        ("，".join([*TOWER, *TOWER, *TOWER]), [("wrong_line_count", 11)]),
        ("关关雎鸠，在河之洲。窈窕淑女，君子好逑。", [("wrong_length", line) for line in range(4)]),
    ],
)
def test_a_text_without_form_says_why(text, faults):
    report = check(text)
    assert [(fault.kind, fault.line) for fault in report.faults] == faults
    assert (report.form, report.pattern, report.rhyme_group, report.pattern_name) == (None, None, "", "")
    assert not report.conforms
    assert not report.conforms_resolved
    for line in report.lines:
        assert all(character.tone and character.required is None for character in line.characters)


def test_a_form_that_is_asked_for_is_insisted_on():
    assert check(PLAIN, form=FORMS["wujue"]).conforms
    report = check(PLAIN, form=FORMS["qijue"])
    assert report.form is None
    assert {fault.kind for fault in report.faults} == {"wrong_length"}
    assert check("山" * 28, form=FORMS["wulv"]).form is None


@pytest.mark.parametrize("name", ["cilin", "xinyun", "tongyun"])
def test_other_books(name):
    report = check("白日依山尽，黄河入海流。欲穷千里目，更上一层楼。", book=rhyme_book(name))
    assert report.rhyme_book == name
    assert report.rhyme_group in rhyme_book(name).level_groups


def test_mandarin_books_judge_by_mandarin():
    # 白 is oblique (入声) of old and level in Mandarin, as is 十.
    text = "十日青山白，春风绿水流。"
    old, new = check(text), check(text, book=rhyme_book("xinyun"))
    tones = [[str(each.tone) for each in report.lines[0].characters] for report in (old, new)]
    assert [tone[4] for tone in tones] == ["Z", "P"]
