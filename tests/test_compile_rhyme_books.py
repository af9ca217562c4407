"""The functions that compile the rhyme books, on inputs small enough to check by eye."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from models.prosody.books import RhymeBook
from models.prosody.forms import FORMS
from models.prosody.patterns import PATTERNS, Tone, line_templates
from models.training.rhyme_books import (
    amendments,
    assemble,
    company,
    guangyun,
    mandarin,
    merges,
    second,
    shares,
    spellings,
    table,
    tones,
)
from models.training.rhyme_books.guangyun import Entry
from models.training.rhyme_books.report import report

DONG, TONG = ("上平", "一东"), ("上平", "二冬")
SONG = ("去声", "一送")


def entry(character: str, rhyme: str, rounded: bool = False) -> Entry:
    return Entry(character, rhyme, rounded)


def test_guangyun_is_parsed() -> None:
    parsed = list(
        guangyun.parse("EAA德紅東東春方也|菄東東風菜C9D房法乏乏匱也AVC博蓋貝泰海介虫也dHI古外儈泰合市")
    )
    assert [(e.character, e.rhyme, e.rounded) for e in parsed] == [
        ("東", "東", False),
        ("菄", "東", False),
        ("乏", "乏", True),
        ("貝", "泰", True),
        ("儈", "泰", True),
    ]


def test_guangyun_is_found_in_the_package(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text("const other = 'x';\nconst data = '\\\nEAA德紅東東春\\\n';\n", "utf-8")
    assert guangyun.read(tmp_path) == [entry("東", "東")]
    (tmp_path / "index.js").write_text("const data = 'nothing';", "utf-8")
    with pytest.raises(guangyun.NotGuangyun):
        guangyun.read(tmp_path)


def test_206_rhymes_fall_into_106_and_19() -> None:
    assert len(merges._PINGSHUI_OF) == len(merges._CILIN_OF) == 206
    assert len(set(merges.PINGSHUI)) == 106
    assert len({group for _, group in merges.CILIN}) == 19


@pytest.mark.parametrize(
    ("rhyme", "pingshui", "cilin"),
    [
        ("元", "十三元", "第七部"),
        ("魂", "十三元", "第六部"),
        ("灰", "十灰", "第三部"),
        ("咍", "十灰", "第五部"),
        ("嚴", "十四盐", "第十四部"),
        ("業", "十七洽", "第十九部"),
        ("迄", "五物", "第十八部"),
        ("等", "二十四迥", "第十一部"),
    ],
)
def test_the_tricky_rhymes(rhyme: str, pingshui: str, cilin: str) -> None:
    one = entry("某", rhyme)
    assert merges.pingshui_place(one)[1] == pingshui
    assert [group for _, group in merges.cilin_places(one)] == [cilin]


def test_rhymes_that_cilin_splits_by_character() -> None:
    def cilin(*args: object) -> list[str]:
        return [group for _, group in merges.cilin_places(Entry(*args))]  # type: ignore[arg-type]

    assert cilin("街", "佳", False) == ["第五部"]
    assert cilin("佳", "佳", False) == ["第五部", "第十部"]
    assert cilin("畫", "卦", True) == ["第十部"]
    assert cilin("會", "泰", True) == ["第三部"]
    assert cilin("蓋", "泰", False) == ["第五部"]


def amend(folder: Path, additions: str = "", corrections: str = "") -> list[Entry]:
    (folder / "additions.tsv").write_text(additions, "utf-8")
    (folder / "corrections.tsv").write_text(corrections, "utf-8")
    return amendments.amended([entry("忘", "漾"), entry("机", "旨")], folder)


def test_amendments(tmp_path: Path) -> None:
    amended = amend(tmp_path, "# later\n麻\t爺\n", "+\t忘\t陽\tlevel in use\n-\t机\t旨\tobsolete\n")
    assert [(e.character, e.rhyme) for e in amended] == [("忘", "漾"), ("爺", "麻"), ("忘", "陽")]


@pytest.mark.parametrize(
    ("additions", "corrections"),
    [("陽\t忘\n", ""), ("", "+\t忘\t漾\tis there\n"), ("", "-\t忘\t陽\tis not there\n")],
)
def test_amendments_that_change_nothing_are_refused(tmp_path: Path, additions: str, corrections: str) -> None:
    with pytest.raises(amendments.WrongAmendment, match="忘"):
        amend(tmp_path, additions, corrections)


def test_the_amendments_give_reasons_and_name_rhymes_of_guangyun() -> None:
    for _, character, rhyme, reason in amendments._rows(amendments._FOLDER / "corrections.tsv"):
        assert (len(character), len(reason) > 3, rhyme in merges._PINGSHUI_OF) == (1, True, True)
    for rhyme, characters in amendments._rows(amendments._FOLDER / "additions.tsv"):
        assert rhyme in merges._PINGSHUI_OF
        assert len(set(characters)) == len(characters)


def test_variants_lend_what_they_have() -> None:
    assert spellings.with_variants({"鴈": [1], "雁": [2]}, ["鴈鳫", "窗窻"]) == {
        "鴈": [1],
        "雁": [2],
        "鳫": [1],
    }
    lines = spellings.read_variants()
    assert all(len(line) > 1 and len(set(line)) == len(line) for line in lines)
    assert len("".join(lines)) == len(set("".join(lines)))


def test_simplified_characters_unite_what_they_stand_for() -> None:
    found = spellings.with_simplified({"乾": [1, 2], "幹": [3], "隱": [4]}, ["干", "隠", "𠮷"])
    assert found == {"乾": [1, 2], "干": [1, 2, 3], "幹": [3], "隱": [4], "隐": [4], "隠": [4]}


def test_places_asked_agree_with_the_patterns() -> None:
    """The sequences that the estimate knows are those of `models.prosody.patterns`."""
    for form in FORMS.values():
        rules = {rule.tobytes(): rule for rule in tones.asked(form)}
        assert len(rules) == len(PATTERNS) == 4
        for pattern in PATTERNS.values():
            templates = [line_templates(kind, form.characters)[0] for kind in pattern.kinds(form)]
            fixed = [
                [{"P": 1, "Z": -1}[t[i]] for i in (*range(1, form.characters, 2), -1)] for t in templates
            ]
            assert any(((rule == fixed) | (rule == 0)).all() for rule in rules.values())


def verses(kinds: str, characters: dict[str, str]) -> list[str]:
    """A quatrain of 五言 that follows a sequence, with a character for each tone."""
    return ["".join(characters[t] for t in line_templates(kind, 5)[0].replace("x", "P")) for kind in kinds]


def test_tones_are_told_by_regular_poems() -> None:
    level, oblique, both = {"P": "天", "Z": "地"}, {"P": "看", "Z": "地"}, {"P": "天", "Z": "看"}
    poems = [verses("aBbA", level)] * 30 + [verses("bAaB", oblique)] * 30 + [verses("BAaB", both)] * 10
    usage = tones.usage(poems, {"天": 1.0, "地": 0.0, "看": 0.5}, "看")
    places = {"看": 30 * 12, "other": 10 * 7}
    assert usage["看"].level / usage["看"].uses == pytest.approx(
        places["看"] / sum(places.values()), abs=0.12
    )
    assert usage["天"].level > 0.97 * usage["天"].uses


def test_poems_without_a_pattern_tell_nothing() -> None:
    poems = [["天天天天地", "天天天天地", "天天天天地", "天天天天看"]] * 20
    usage = tones.usage(poems, {"天": 1.0, "地": 0.0, "看": 0.5}, "看")
    assert usage["看"].uses < 1


def test_rhyme_company_tells_the_group() -> None:
    groups = {"行": ["庚", "阳"], "声": ["庚"], "光": ["阳"], "月": ["月"]}
    poems = [["x", "声", "x", "行"]] * 30 + [["x", "光", "x", "行"]] * 10 + [["x", "月", "x", "行"]] * 9
    found = company.shares(poems, groups)
    assert set(found) == {"行"}
    assert found["行"]["庚"] == pytest.approx(0.75, abs=0.03)
    assert sum(found["行"].values()) == pytest.approx(1)


def test_shares_are_of_tones_first_and_then_of_groups() -> None:
    found = shares._shares([DONG, TONG, SONG], 0.8, {DONG: 3.0, TONG: 1.0})
    assert found == pytest.approx({DONG: 0.6, TONG: 0.2, SONG: 0.2})
    assert shares._shares([DONG, TONG], 0.1, {}) == pytest.approx({DONG: 0.5, TONG: 0.5})


def test_idle_readings_are_left_out() -> None:
    found = shares.without_idle(
        {"风": {DONG: 0.999, SONG: 0.001}, "中": {DONG: 0.9, SONG: 0.1}}, {"风": [DONG]}
    )
    assert found == {"风": [DONG], "中": [DONG, SONG]}
    listed = {"风": [DONG, SONG]}
    assert shares.without_idle({"风": {DONG: 0.999, SONG: 0.001}}, listed) == {"风": [DONG, SONG]}


def test_cilin_parts_a_reading_evenly() -> None:
    entries = {"元": [entry("元", "元"), entry("元", "魂")], "佳": [entry("佳", "佳")]}
    thirteen, nine = ("上平", "十三元"), ("上平", "九佳")
    found = assemble.cilin(entries, {"元": {thirteen: 1.0}, "佳": {nine: 1.0}})
    assert found["元"] == {("平声", "第七部"): 0.5, ("平声", "第六部"): 0.5}
    assert found["佳"] == {("平声", "第五部"): 0.5, ("平声", "第十部"): 0.5}


@pytest.mark.parametrize(
    ("syllable", "xinyun", "tongyun"),
    [
        ("zhong1", ("平声", "十一庚"), ("平声", "十五雍")),
        ("weng1", ("平声", "十一庚"), ("平声", "十四英")),
        ("shi2", ("平声", "十三支"), ("平声", "四衣")),
        ("yi3", ("仄声", "十二齐"), ("仄声", "四衣")),
        ("yu2", ("平声", "十二齐"), ("平声", "六迂")),
        ("er4", ("仄声", "十二齐"), ("仄声", "十六儿")),
        ("yue4", ("仄声", "三皆"), ("仄声", "三鹅")),
        ("jiu3", ("仄声", "七尤"), ("仄声", "十欧")),
        ("hui2", ("平声", "五微"), ("平声", "八欸")),
        ("wen2", ("平声", "九文"), ("平声", "十二恩")),
        ("de5", ("仄声", "二波"), ("仄声", "三鹅")),
    ],
)
def test_modern_syllables(syllable: str, xinyun: merges.Place, tongyun: merges.Place) -> None:
    assert mandarin.place_of(syllable, mandarin.XINYUN_OF) == xinyun
    assert mandarin.place_of(syllable, mandarin.TONGYUN_OF) == tongyun


def test_modern_readings_are_those_in_use() -> None:
    assert mandarin.place_of("hm5", mandarin.XINYUN_OF) is None
    found = mandarin.syllables("不听为了a")
    assert set(found["不"]) == {"bu4"}
    assert set(found["听"]) == {"ting1"}
    assert found["为"]["wei2"] > found["为"]["wei4"]
    assert "le5" in found["了"]
    assert "a" not in found
    assert all(sum(weights.values()) == pytest.approx(1) for weights in found.values())


def test_thousandths() -> None:
    assert table.thousandths({DONG: 0.9999, SONG: 0.0001}) == {DONG: 999, SONG: 1}
    assert sum(table.thousandths({DONG: 1 / 3, TONG: 1 / 3, SONG: 1 / 3}).values()) == 1000


def test_a_table_is_read_as_it_was_written() -> None:
    text = table.render(
        "test", [DONG, SONG], {"中": {DONG: 0.75, SONG: 0.25}, "风": {DONG: 1.0}}, {"风": 9, "中": 3}
    )
    assert text == "# test\n上平\t一东\t风中750\n去声\t一送\t中250\n"
    book = RhymeBook("pingshui", text)
    assert [(r.tone, r.group, r.prior) for r in book.readings("中")] == [
        (Tone.LEVEL, "一东", 0.75),
        (Tone.OBLIQUE, "一送", 0.25),
    ]
    assert book.characters("东") == "风中"


def test_the_second_table_and_the_report(tmp_path: Path) -> None:
    path = tmp_path / second._DATA
    path.parent.mkdir(parents=True)
    data = {"ping": {"上平聲部": {"上平聲一東": ["東中風"]}}, "ze": {"去聲部": {"去聲一送": ["中鳳"]}}}
    path.write_text(json.dumps(data), "utf-8")
    listed = second.read(tmp_path)
    assert listed == {"東": [DONG], "中": [DONG, SONG], "風": [DONG], "鳳": [SONG]}
    book = {"東": {DONG: 1.0}, "中": {DONG: 1.0}, "風": {SONG: 1.0}}
    uses = Counter({"風": 1, "中": 2, "東": 3, "鳳": 4})
    found = report({"pingshui": book}, uses, listed)
    assert found["coverage"] == {"pingshui": 0.6}
    assert found["differ"] == {"main_place": 0.1, "main_tone": 0.1, "any_tone": pytest.approx(0.3)}
    assert found["differences"] == ["中\t2\t+\t-一送", "風\t1\t+一送\t-一东"]
