"""Parallelism (对仗): what the shipped table knows, and how such a table is learned."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from models.prosody import parallelism
from models.prosody.parallelism import Parallelism
from models.training.corpus import Poem
from models.training.parallelism import Opposites, is_regular, learn, main, parallel_couplets

TABLE = Path(__file__).resolve().parent.parent / "models" / "prosody" / "data" / "parallelism.npz"
FAMOUS = [
    ("明月松间照", "清泉石上流"),
    ("大漠孤烟直", "长河落日圆"),
    ("感时花溅泪", "恨别鸟惊心"),
    ("星垂平野阔", "月涌大江流"),
    ("海日生残夜", "江春入旧年"),
    ("浮云游子意", "落日故人情"),
    ("气蒸云梦泽", "波撼岳阳城"),
    ("绿树村边合", "青山郭外斜"),
    ("野径云俱黑", "江船火独明"),
    ("江流天地外", "山色有无中"),
    ("泉声咽危石", "日色冷青松"),
    ("乱花渐欲迷人眼", "浅草才能没马蹄"),
    ("无边落木萧萧下", "不尽长江滚滚来"),
    ("沧海月明珠有泪", "蓝田日暖玉生烟"),
    ("身无彩凤双飞翼", "心有灵犀一点通"),
    ("锦江春色来天地", "玉垒浮云变古今"),
    ("三顾频烦天下计", "两朝开济老臣心"),
    ("云横秦岭家何在", "雪拥蓝关马不前"),
    ("疏影横斜水清浅", "暗香浮动月黄昏"),
    ("山重水复疑无路", "柳暗花明又一村"),
]
# Upper and lower lines of the quatrains that everyone knows: they go on, they do not answer.
FLOWING = [
    ("床前明月光", "疑是地上霜"),
    ("春眠不觉晓", "处处闻啼鸟"),
    ("松下问童子", "言师采药去"),
    ("葡萄美酒夜光杯", "欲饮琵琶马上催"),
    ("故人西辞黄鹤楼", "烟花三月下扬州"),
    ("朝辞白帝彩云间", "千里江陵一日还"),
    ("姑苏城外寒山寺", "夜半钟声到客船"),
]


def test_famous_couplets_are_above_their_lines_put_together_otherwise():
    true = [parallelism().score(*couplet) for couplet in FAMOUS]
    wrong = [
        parallelism().score(upper, lower)
        for upper, own in FAMOUS
        for _, lower in FAMOUS
        if lower != own and len(lower) == len(upper)
    ]
    assert min(true) > 0
    assert np.mean([score > other for score in true for other in wrong]) > 0.95


def test_couplets_that_answer_are_above_couplets_that_go_on():
    answering = [parallelism().score(*couplet) for couplet in FAMOUS]
    going_on = [parallelism().score(*couplet) for couplet in FLOWING]
    assert np.mean([score > other for score in answering for other in going_on]) > 0.9


@pytest.mark.parametrize(
    ("upper", "better", "worse"),
    [
        ("一", "千", "山"),
        ("白", "青", "来"),
        ("东", "西", "飞"),
        ("有", "无", "花"),
        ("山", "水", "不"),
        ("春", "秋", "一"),
    ],
)
def test_kinds_of_characters_answer_each_other(upper, better, worse):
    high, low = parallelism().scores(upper, [better, worse])
    assert high > 1
    assert low < high - 1


def test_a_repeated_character_costs_wherever_it_stands():
    table = parallelism()
    assert table.repeated < -1
    assert table.score("明月", "明月") == pytest.approx(table.repeated)
    own, same_place, other_place = table.scores("明月松间照", ["清泉石上流", "清月石上流", "清泉石上松"])
    assert own > same_place
    assert own > other_place
    assert table.score("孤", "孤") == table.score("犇", "犇") == table.repeated


def test_both_lines_may_double_a_character():
    assert parallelism().score("无边落木萧萧下", "不尽长江滚滚来") > 0.5


def test_unknown_characters_count_nothing():
    table = parallelism()
    assert table.score("𪚥", "月") == table.score("月", "𪚥") == table.score("A", "\U0010fffd") == 0
    [known] = table.scores("明月", ["清泉"])
    assert table.score("明月𪚥", "清泉龘") == pytest.approx(known * 2 / 3)


def test_many_lines_score_as_one_by_one_and_both_ways_round():
    table = parallelism()
    lowers = [lower for _, lower in FAMOUS if len(lower) == 7]
    scores = table.scores("无边落木萧萧下", lowers)
    assert scores.dtype == np.float64
    assert scores == pytest.approx([table.score("无边落木萧萧下", lower) for lower in lowers])
    assert scores == pytest.approx([table.score(lower, "无边落木萧萧下") for lower in lowers])


def test_lines_of_different_lengths_are_refused_and_nothing_scores_nothing():
    with pytest.raises(ValueError, match="one length"):
        parallelism().score("明月松间照", "不尽长江滚滚来")
    assert parallelism().scores("明月松间照", []).shape == (0,)
    assert parallelism().score("", "") == 0


def test_the_table_is_small_and_quick():
    assert TABLE.stat().st_size < 1_500_000

    def best(function) -> float:
        times = []
        for _ in range(20):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
        return min(times)

    assert best(lambda: Parallelism(dict(np.load(TABLE)))) < 0.05
    scores = parallelism().scores
    assert best(lambda: scores("无边落木萧萧下", ["不尽长江滚滚来"] * 16)) < 0.0002


@pytest.mark.parametrize(
    ("upper", "lower", "regular"),
    [
        ("星垂平野阔", "月涌大江流", True),
        ("无边落木萧萧下", "不尽长江滚滚来", True),
        ("月涌大江流", "星垂平野阔", False),
        ("星垂平野阔", "星垂大江流", False),
        ("采菊东篱下", "悠然见南山", False),
    ],
)
def test_the_tones_of_a_couplet(upper, lower, regular):
    assert is_regular(upper, lower) is regular


NUMBERS, COLOURS, PLACES = "一三五千万", "红青白黄碧", "江山水云天"


def made_up(count: int) -> list[tuple[str, str]]:
    """Couplets of three characters: a number, a colour and a place, in one of two orders."""
    rng = random.Random(3)
    couplets = []
    for _ in range(count):
        kinds = rng.choice([(NUMBERS, COLOURS, PLACES), (COLOURS, NUMBERS, PLACES)])
        upper = "".join(rng.choice(kind) for kind in kinds)
        lower = "".join(rng.choice([c for c in kind if c not in upper]) for kind in kinds)
        couplets.append((upper, lower))
    return couplets


def test_kinds_are_learned_from_what_stands_opposite():
    opposites = Opposites(made_up(600))
    assert opposites.counts.sum() == pytest.approx(2 * 3 * 600)
    assert opposites.expected.sum() == pytest.approx(2 * 3 * 600, rel=1e-4)
    table = Parallelism(learn(opposites, rank=4))
    assert table.score("一", "三") > 0.3 > 0 > table.score("一", "红")
    assert table.score("红", "白") > 0.3
    # In the third place there are only places: chance puts them opposite each other as well.
    assert abs(table.score("江", "山")) < 0.3
    assert table.repeated < -2


def test_only_the_middle_couplets_of_regulated_verse_are_read(tmp_path):
    lines = (
        "国破山河在",
        "城春草木深",
        "感时花溅泪",
        "恨别鸟惊心",
        "烽火连三月",
        "家书抵万金",
        "白头搔更短",
        "浑欲不胜簪",
    )
    poem = Poem(form="wulv", dynasty="tang", author="杜甫", title="春望", lines=lines)
    quatrain = Poem(form="wujue", dynasty="tang", author="杜甫", title="", lines=lines[:4])
    old = Poem(form="wulv", dynasty="tang", author="", title="", lines=lines[::-1])
    assert parallel_couplets([poem, quatrain, old]) == [lines[2:4], lines[4:6]]


def test_the_same_couplets_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.parallelism.load", lambda folder, split: [])
    monkeypatch.setattr("models.training.parallelism.parallel_couplets", lambda poems: made_up(300))
    monkeypatch.setattr("models.training.parallelism.RANK", 4)
    for name in ("one.npz", "two.npz"):
        monkeypatch.setattr(
            "sys.argv", ["parallelism", "--corpus", str(tmp_path), "--out", str(tmp_path / name)]
        )
        main()
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
