"""The four rhyme books as they are shipped."""

from __future__ import annotations

import time

import pytest

from models.prosody.books import (
    RHYME_BOOKS,
    RhymeBook,
    UnknownRhymeBook,
    UnknownRhymeGroup,
    rhyme_book,
)
from models.prosody.patterns import Tone

# Regulated verse of the Tang, in the public domain; the rhyme group of 平水韵 in front.
POEMS = """
十一尤 白日依山尽黄河入海流 欲穷千里目更上一层楼
四支 红豆生南国春来发几枝 愿君多采撷此物最相思
十五删 朝辞白帝彩云间千里江陵一日还 两岸猿声啼不住轻舟已过万重山
一先 月落乌啼霜满天江枫渔火对愁眠 姑苏城外寒山寺夜半钟声到客船
七虞 寒雨连江夜入吴平明送客楚山孤 洛阳亲友如相问一片冰心在玉壶
十五删 秦时明月汉时关万里长征人未还 但使龙城飞将在不教胡马度阴山
十五删 黄河远上白云间一片孤城万仞山 羌笛何须怨杨柳春风不度玉门关
十一真 独在异乡为异客每逢佳节倍思亲 遥知兄弟登高处遍插茱萸少一人
六麻 远上寒山石径斜白云生处有人家 停车坐爱枫林晚霜叶红于二月花
六麻 烟笼寒水月笼沙夜泊秦淮近酒家 商女不知亡国恨隔江犹唱后庭花
四支 君问归期未有期巴山夜雨涨秋池 何当共剪西窗烛却话巴山夜雨时
十二侵 国破山河在城春草木深 感时花溅泪恨别鸟惊心 烽火连三月家书抵万金 白头搔更短浑欲不胜簪
八庚 好雨知时节当春乃发生 随风潜入夜润物细无声 野径云俱黑江船火独明 晓看红湿处花重锦官城
十一尤 空山新雨后天气晚来秋 明月松间照清泉石上流 竹喧归浣女莲动下渔舟 随意春芳歇王孙自可留
一先 单车欲问边属国过居延 征蓬出汉塞归雁入胡天 大漠孤烟直长河落日圆 萧关逢候骑都护在燕然
十一真 城阙辅三秦风烟望五津 与君离别意同是宦游人 海内存知己天涯若比邻 无为在歧路儿女共沾巾
四支 海上生明月天涯共此时 情人怨遥夜竟夕起相思 灭烛怜光满披衣觉露滋 不堪盈手赠还寝梦佳期
十灰 风急天高猿啸哀渚清沙白鸟飞回 无边落木萧萧下不尽长江滚滚来
    万里悲秋常作客百年多病独登台 艰难苦恨繁霜鬓潦倒新停浊酒杯
十灰 風急天高猿嘯哀渚清沙白鳥飛迴 無邊落木蕭蕭下不盡長江滾滾來
    萬里悲秋常作客百年多病獨登臺 艱難苦恨繁霜鬢潦倒新停濁酒杯
一先 锦瑟无端五十弦一弦一柱思华年 庄生晓梦迷蝴蝶望帝春心托杜鹃
    沧海月明珠有泪蓝田日暖玉生烟 此情可待成追忆只是当时已惘然
十四寒 相见时难别亦难东风无力百花残 春蚕到死丝方尽蜡炬成灰泪始干
    晓镜但愁云鬓改夜吟应觉月光寒 蓬山此去无多路青鸟殷勤为探看
"""
FORMS_OF_ONE = list(zip("东钟窗里泪听鴈猨簷徧鬰隠髪", "東鐘窻裏淚聽雁猿檐遍鬱隱髮", strict=True))
COUNTS = {"pingshui": (30, 106), "cilin": (14, 19), "xinyun": (14, 14), "tongyun": (16, 16)}


@pytest.fixture(scope="module", params=RHYME_BOOKS)
def book(request: pytest.FixtureRequest) -> RhymeBook:
    return rhyme_book(request.param)


@pytest.fixture(scope="module")
def pingshui() -> RhymeBook:
    return rhyme_book("pingshui")


def characters_of(book: RhymeBook) -> set[str]:
    """Every character of the table's file."""
    from models.prosody import books

    text = (books._DATA / f"{book.name}.tsv").read_text(encoding="utf-8")
    return {c for line in text.splitlines()[1:] for c in line.split("\t")[2] if not c.isdigit()}


def groups(book: RhymeBook, character: str, tone: Tone) -> set[str]:
    return {reading.group for reading in book.readings(character) if reading.tone is tone}


def level_share(book: RhymeBook, character: str) -> float:
    return sum(reading.prior for reading in book.readings(character) if reading.tone is Tone.LEVEL)


def poems() -> list[tuple[str, list[str]]]:
    """(rhyme group, couplets) of each poem."""
    whole = POEMS.strip().replace("\n    ", " ").splitlines()
    return [(group, couplets) for group, *couplets in map(str.split, whole)]


def test_every_group_is_there(book: RhymeBook) -> None:
    level, every = COUNTS[book.name]
    found = {reading.group for c in characters_of(book) for reading in book.readings(c)}
    assert (len(book.level_groups), len(found)) == (level, every)
    assert all(len(book.characters(group)) > 20 for group in book.level_groups)


def test_priors_add_up_and_come_likeliest_first(book: RhymeBook) -> None:
    for character in characters_of(book):
        priors = [reading.prior for reading in book.readings(character)]
        assert sum(priors) == pytest.approx(1), character
        assert priors == sorted(priors, reverse=True)
        assert min(priors) > 0


def test_no_place_is_named_twice(book: RhymeBook) -> None:
    for character in characters_of(book):
        places = [(reading.tone, reading.group) for reading in book.readings(character)]
        assert len(places) == len(set(places)), character


def test_famous_poems_are_covered(book: RhymeBook) -> None:
    text = "".join(couplet for _, couplets in poems() for couplet in couplets)
    assert len(text) > 700
    assert [c for c in text if not book.readings(c)] == []


@pytest.mark.parametrize(("group", "couplets"), poems())
def test_famous_poems_rhyme(pingshui: RhymeBook, group: str, couplets: list[str]) -> None:
    for couplet in couplets:
        assert group in groups(pingshui, couplet[-1], Tone.LEVEL)
        assert couplet[-1] in pingshui.characters(group)


@pytest.mark.parametrize(
    ("characters", "group"),
    [
        ("元源言猿村魂门存", "十三元"),
        ("佳涯街鞋崖柴怀淮", "九佳"),
        ("涯花家斜茶", "六麻"),
        ("灰回来台开梅", "十灰"),
        ("严盐添帘", "十四盐"),
        ("衔凡帆咸", "十五咸"),
        ("殷勤斤筋芹", "十二文"),
        ("凭兴登能", "十蒸"),
    ],
)
def test_level_groups_of_pingshui(pingshui: RhymeBook, characters: str, group: str) -> None:
    assert all(group in groups(pingshui, c, Tone.LEVEL) for c in characters)


@pytest.mark.parametrize(
    ("character", "group"),
    [
        ("白", "十一陌"),
        ("业", "十七洽"),
        ("国", "十三职"),
        ("肯", "二十四迥"),
        ("外", "九泰"),
        ("话", "十卦"),
    ],
)
def test_oblique_groups_of_pingshui(pingshui: RhymeBook, character: str, group: str) -> None:
    assert group in groups(pingshui, character, Tone.OBLIQUE)
    assert pingshui.tone_of(character) is Tone.OBLIQUE


# What another table and another corpus gave for the share of level use.
@pytest.mark.parametrize(
    ("character", "share"),
    {
        "中": 0.99,
        "间": 0.96,
        "行": 0.95,
        "忘": 0.90,
        "相": 0.82,
        "看": 0.65,
        "为": 0.61,
        "重": 0.63,
        "听": 0.28,
        "过": 0.26,
        "望": 0.08,
        "不": 0.07,
    }.items(),
)
def test_polyphones_have_the_share_of_their_use(pingshui: RhymeBook, character: str, share: float) -> None:
    assert {reading.tone for reading in pingshui.readings(character)} == {Tone.LEVEL, Tone.OBLIQUE}
    assert level_share(pingshui, character) == pytest.approx(share, abs=0.1)
    assert pingshui.tone_of(character) is (Tone.LEVEL if share > 0.5 else Tone.OBLIQUE)


def test_a_simplified_character_has_the_readings_of_all_that_it_stands_for(pingshui: RhymeBook) -> None:
    assert groups(pingshui, "干", Tone.LEVEL) >= groups(pingshui, "乾", Tone.LEVEL)
    assert groups(pingshui, "干", Tone.OBLIQUE) >= groups(pingshui, "幹", Tone.OBLIQUE)
    assert groups(pingshui, "只", Tone.OBLIQUE) == {"十一陌", "四纸"}
    assert groups(pingshui, "隻", Tone.OBLIQUE) == {"十一陌"}
    assert pingshui.readings("后") == pingshui.readings("後")


def test_a_simplified_character_has_no_reading_of_an_obsolete_twin(pingshui: RhymeBook) -> None:
    assert [c for c in "机怜园虫" if groups(pingshui, c, Tone.OBLIQUE)] == []
    assert [c for c in "体胆岭" if groups(pingshui, c, Tone.LEVEL)] == []


@pytest.mark.parametrize(("one", "other"), FORMS_OF_ONE)
def test_forms_of_a_character_read_alike(book: RhymeBook, one: str, other: str) -> None:
    assert {(r.tone, r.group) for r in book.readings(one)} & {(r.tone, r.group) for r in book.readings(other)}


def test_unknown_characters(book: RhymeBook) -> None:
    for text in ("a", "，", "", "春风", "□"):
        assert book.readings(text) == ()
        assert book.tone_of(text) is None


def test_books_by_either_name() -> None:
    assert rhyme_book("平水韵") is rhyme_book("pingshui")
    assert {rhyme_book(name).chinese for name in RHYME_BOOKS} == set(RHYME_BOOKS.values())
    with pytest.raises(UnknownRhymeBook, match="pingshui"):
        rhyme_book("guangyun")


@pytest.mark.parametrize("name", ["十一尤", "尤", "下平十一尤", "下平声十一尤", "下平聲十一尤", " 尤 "])
def test_groups_by_any_name(pingshui: RhymeBook, name: str) -> None:
    assert pingshui.group_named(name) == "十一尤"


def test_groups_of_the_other_books_by_name() -> None:
    assert rhyme_book("cilin").group_named("第一部") == "第一部"
    assert rhyme_book("xinyun").group_named("麻") == "一麻"
    assert rhyme_book("tongyun").group_named("兒") == "十六儿"


@pytest.mark.parametrize("name", ["有", "二十五有", "", "部", "東冬"])
def test_unknown_groups_are_told_the_choices(book: RhymeBook, name: str) -> None:
    with pytest.raises(UnknownRhymeGroup, match=book.level_groups[0]):
        book.group_named(name)


def test_neighbours(pingshui: RhymeBook) -> None:
    assert pingshui.neighbours("一东") == {"二冬"}
    assert pingshui.neighbours("十三元") == {"十一真", "十二文", "十四寒", "十五删", "一先"}
    assert pingshui.neighbours("十一尤") == frozenset()
    for group in pingshui.level_groups:
        assert all(group in pingshui.neighbours(other) for other in pingshui.neighbours(group))
    assert rhyme_book("xinyun").neighbours("一麻") == frozenset()


def test_neighbours_share_a_part_of_cilin(pingshui: RhymeBook) -> None:
    """The neighbours are written down; they follow from which level groups share a 部 of 词林正韵."""
    from models.training.rhyme_books import merges

    parts: dict[str, set[str]] = {}
    for rhyme, (division, group) in merges._PINGSHUI_OF.items():
        if division in ("上平", "下平"):
            parts.setdefault(group, set()).add(merges._CILIN_OF[rhyme][1])
    parts["九佳"].add("第十部")
    for group in pingshui.level_groups:
        expected = {other for other in parts if other != group and parts[other] & parts[group]}
        assert pingshui.neighbours(group) == expected


def test_common_characters_come_first(pingshui: RhymeBook) -> None:
    assert pingshui.characters("一东")[0] == "风"
    assert pingshui.characters("一东") == pingshui.characters("东")


@pytest.mark.parametrize(
    ("name", "level", "oblique"),
    [
        (
            "cilin",
            {"魂": "第六部", "元": "第七部", "灰": "第三部", "来": "第五部"},
            {"会": "第三部", "画": "第十部"},
        ),
        (
            "xinyun",
            {"诗": "十三支", "儿": "十二齐", "鱼": "十二齐", "雄": "十一庚"},
            {"月": "三皆", "日": "十三支"},
        ),
        (
            "tongyun",
            {"诗": "四衣", "儿": "十六儿", "鱼": "六迂", "雄": "十五雍", "翁": "十四英"},
            {"月": "三鹅"},
        ),
    ],
)
def test_known_places_of_the_other_books(name: str, level: dict[str, str], oblique: dict[str, str]) -> None:
    book = rhyme_book(name)
    for tone, places in ((Tone.LEVEL, level), (Tone.OBLIQUE, oblique)):
        assert {c: group for c, group in places.items() if group not in groups(book, c, tone)} == {}


def test_entering_tone_is_gone_from_the_modern_books() -> None:
    assert rhyme_book("xinyun").tone_of("白") is Tone.LEVEL
    assert rhyme_book("pingshui").tone_of("白") is Tone.OBLIQUE
    assert rhyme_book("xinyun").tone_of("看") is Tone.OBLIQUE
    assert rhyme_book("xinyun").tone_of("为") is Tone.LEVEL


def test_loading_is_quick(book: RhymeBook) -> None:
    def seconds() -> float:
        start = time.process_time()
        fresh = rhyme_book.__wrapped__(book.name)
        assert fresh is not book
        return time.process_time() - start

    # 20 to 30 ms of processor time on a busy machine.
    assert min(seconds() for _ in range(5)) < 0.15
