"""Which characters may stand twice in a row."""

from __future__ import annotations

import pytest

from models.prosody.doubling import doublings, may_double, wrongly_doubled
from models.training.doublings import doubled


def test_the_table_holds_words_and_no_slips():
    assert set("萧悠纷年处青寂茫") <= doublings()
    assert not set("宫花春月") & doublings()


@pytest.mark.parametrize(
    ("start", "characters", "words"),
    [(start, 5, start in (0, 2, 3)) for start in range(4)]
    + [(start, 7, start in (0, 2, 4, 5)) for start in range(6)],
)
def test_a_doubled_character_is_a_word_where_the_rhythm_has_one(start, characters, words):
    assert may_double("萧", start, characters) == words
    assert not may_double("宫", start, characters)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("无边落木萧萧下", 0),
        ("日日人人事事同", 0),
        ("宫宫宫殿晓云飞", 2),
        ("舟行行处雨萧萧", 1),
        ("夜夜减清辉", 0),
    ],
)
def test_wrongly_doubled(line, count):
    assert wrongly_doubled(line) == count


def test_the_table_is_made_of_what_is_doubled_often_enough():
    lines = ["萧萧班马鸣"] * 3 + ["花花不见春"] * 2 + ["落花春雨花", "花落水流花", "明花花外天"]
    assert doubled(lines, least=3, share=0.5) == ["萧"]
    assert doubled(lines, least=2, share=0.1) == ["萧", "花"]
    assert doubled(lines, least=2, share=0.5) == ["萧"]
