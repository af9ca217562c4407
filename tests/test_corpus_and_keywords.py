"""From the npm package to poems, and from poems to keywords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.prosody.shape import form_of
from models.training.corpus import Poem, clean_poems, load, split
from models.training.keywords import Imagery, load_imagery, mine, read_keywords

ROOT = Path(__file__).resolve().parent.parent
QUATRAIN = ["牀前看月光，疑是地上霜。", "舉頭望山月，低頭思故鄉。"]


def package(folder: Path, *poems: dict) -> Path:
    """A package with these poems in one file, and an empty second one."""
    target = folder / "dist" / "quantangshi"
    target.mkdir(parents=True)
    records = [{"author": "李白", "title": "靜夜思", "id": "1", **poem} for poem in poems]
    (target / "poet.tang.0.json").write_text(json.dumps(records), encoding="utf-8")
    (target / "poet.song.0.json").write_text("[]", encoding="utf-8")
    return folder


def test_poems_come_simplified_with_their_form(tmp_path):
    [poem] = clean_poems(package(tmp_path, {"paragraphs": QUATRAIN}))
    assert poem.lines == ("床前看月光", "疑是地上霜", "举头望山月", "低头思故乡")
    assert (poem.form, poem.dynasty, poem.title) == ("wujue", "tang", "静夜思")


@pytest.mark.parametrize(
    "paragraphs",
    [
        ["牀前看月光，疑是地上霜。"],
        ["牀前看月□，疑是地上霜。", "舉頭望山月，低頭思故鄉。"],
        ["牀前看月光，疑是地上霜。", "舉頭望（一作明）山月，低頭思故鄉。"],
        ["牀前看月光，疑是地上霜。", "舉頭望山月，低頭思。"],
        ["牀前看月々，疑是地上霜。", "舉頭望山月，低頭思故鄉。"],
        [],
    ],
)
def test_what_is_no_whole_regulated_poem_is_left_out(tmp_path, paragraphs):
    assert clean_poems(package(tmp_path, {"paragraphs": paragraphs})) == []


def test_repetitions_and_near_repetitions_are_dropped(tmp_path):
    variant = ["牀前明月光，疑是地上霜。", "舉頭望明月，低頭思故鄉。"]
    other = ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"]
    folder = package(tmp_path, *({"paragraphs": p} for p in (QUATRAIN, QUATRAIN, variant, other)))
    assert [poem.lines[0] for poem in clean_poems(folder)] == ["床前看月光", "白日依山尽"]


def test_splits_do_not_overlap_and_do_not_move_when_read_in_another_order():
    poems = [
        Poem(form="wujue", dynasty="tang", author="", title="", lines=(f"{i:05d}", "b" * 5, "c" * 5, "d" * 5))
        for i in range(100)
    ]
    first, second = split(poems), split(reversed(poems))
    assert {name: len(part) for name, part in first.items()} == {"train": 81, "validation": 9, "test": 10}
    assert first == second
    assert len({poem.text for part in first.values() for poem in part}) == 100


def test_forms_are_told_by_number_and_length_of_lines():
    assert form_of(("一" * 7,) * 8).name == "qilv"
    assert form_of(("一" * 7,) * 3) is None
    assert form_of(("一" * 7, "一" * 5) * 2) is None


def poems_about(*lines: str) -> list[Poem]:
    return [Poem(form="wujue", dynasty="tang", author="", title="", lines=tuple(lines))] * 40


def test_frequent_words_on_the_rhythm_are_mined_and_marked():
    imagery = Imagery(heads={"月": "sky", "舟": "object", "红": "colour"}, exceptions={"岁月": "none"})
    mined = mine(poems_about("明月照孤舟", "岁月不知愁"), imagery, least=30, visual=10, other=10)
    categories = {row.word: row.category for row in mined}
    assert categories["明月"] == "sky"
    assert categories["孤舟"] == "object"
    assert categories["岁月"] is None
    assert "月照" not in categories
    assert [row.word for row in mined if len(row.word) == 1] == ["月", "舟"]
    assert mine(poems_about("明月照孤舟"), imagery, least=41, visual=10, other=10) == []


def test_a_place_beside_a_thing_is_visual():
    imagery = load_imagery()
    assert imagery.category("花前") == "plant"
    assert imagery.category("生前") is None
    assert imagery.category("红") is None


def test_the_shipped_list_holds_what_it_should():
    mined = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv")
    categories = {row.word: row.category for row in mined}
    assert 7_500 < len(mined) == len(categories) < 8_500
    assert all(row.count >= 30 for row in mined)
    visual = ["瀑布", "扁舟", "明月", "楼台", "白鹭", "牡丹", "月", "松"]
    assert all(categories[word] for word in visual)
    assert all(categories[word] is None for word in ("不知", "何处", "平生"))


def test_a_split_is_read_as_written(tmp_path):
    record = {"form": "wujue", "dynasty": "tang", "author": "a", "title": "t", "lines": ["一二三四五"] * 4}
    (tmp_path / "train.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    [poem] = load(tmp_path, "train")
    assert poem.lines == ("一二三四五",) * 4
