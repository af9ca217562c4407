"""Standard spelling, 词 kept apart, and the labels of a corpus's poems."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from models.prosody.books import rhyme_book
from models.training import ci, corpus, labels
from models.training.corpus import Poem, load, respelt
from models.training.keyword_extraction import Extractor
from models.training.keywords import MinedWord
from models.training.labels import labels_of, summary
from models.training.spelling import standard_spelling

ROOT = Path(__file__).resolve().parent.parent
NIGHT = Poem(
    form="wujue",
    dynasty="tang",
    author="王之涣",
    title="登鹳雀楼",
    lines=("白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"),
)
BROKEN = Poem(
    form="wujue",
    dynasty="tang",
    author="",
    title="",
    lines=("白日依山流", "黄河入海尽", "山山山山山", "流流流流流"),
)
WORDS = [
    MinedWord(word=word, count=count, category=category)
    for word, count, category in (("白日", 900, "sky"), ("黄河", 200, "water"), ("千里", 3000, ""))
]


def test_older_and_japanese_forms_become_standard():
    assert standard_spelling("鴈落平沙隠，疎簷") == "雁落平沙隐，疏檐"
    assert (
        respelt(Poem(form="wujue", dynasty="", author="", title="鴈", lines=("鴈鴈鴈鴈鴈",) * 4)).title
        == "雁"
    )


def test_spelling_changes_no_tone_and_leaves_standard_characters_alone():
    book = rhyme_book("pingshui")
    rows = (ROOT / "models/training/variant_characters.txt").read_text(encoding="utf-8").splitlines()
    table = [row for row in rows if not row.startswith("#")]
    variants = [variant for row in table for variant in row[1:]]
    assert len(variants) == len(set(variants)) > 400
    for row in table:
        assert standard_spelling(row[0]) == row[0]
        tones = {reading.tone for reading in book.readings(row[0])}
        for variant in row[1:]:
            own = {reading.tone for reading in book.readings(variant)}
            assert not own or not tones or own & tones, (variant, row[0])
            with pytest.raises(UnicodeEncodeError):
                variant.encode("gb2312")


def song(*records: dict) -> list[dict]:
    return [{"author": "蘇軾", "rhythmic": "定風波・其一", **record} for record in records]


def write_ci_package(folder: Path, records: list[dict]) -> Path:
    (folder / "dist" / "songci").mkdir(parents=True)
    path = folder / "dist" / "songci" / "ci.song.0.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return folder


def test_ci_are_cut_at_every_mark_and_kept_once(tmp_path):
    whole = {"paragraphs": ["莫聽穿林打葉聲，何妨吟嘯且徐行。", "竹杖芒鞋輕勝馬，誰怕？"]}
    folder = write_ci_package(tmp_path, song(whole, whole, {"paragraphs": ["缺□，字。"]}))
    [poem] = ci.clean(folder)
    assert (poem.tune, poem.author, poem.dynasty) == ("定风波", "苏轼", "song")
    assert poem.lines == ("莫听穿林打叶声", "何妨吟啸且徐行", "竹杖芒鞋轻胜马", "谁怕")


def test_corpus_command_keeps_ci_apart_and_counts_them(tmp_path, monkeypatch, capsys):
    folder = write_ci_package(tmp_path / "package", song({"paragraphs": ["莫聽穿林打葉聲，誰怕？"]}))
    poems = folder / "dist" / "quantangshi"
    poems.mkdir()
    record = {
        "author": "王之涣",
        "title": "鴈",
        "paragraphs": ["白日依山尽，黄河入海流。", "欲穷千里目，更上一鴈楼。"],
    }
    (poems / "poet.tang.0.json").write_text(json.dumps([record]), encoding="utf-8")
    out = tmp_path / "corpus"
    monkeypatch.setattr(sys, "argv", ["corpus", "--package", str(folder), "--out", str(out)])
    corpus.main()
    capsys.readouterr()
    [poem] = load(out, "train")
    assert (poem.title, poem.lines[3]) == ("雁", "更上一雁楼")
    assert json.loads((out / "corpus.json").read_text(encoding="utf-8"))["ci"]["poems"] == 1
    assert json.loads((out / "ci.jsonl").read_text(encoding="utf-8"))["tune"] == "定风波"


def test_labels_say_subject_rhyme_pattern_regularity_and_keywords():
    found = labels_of(NIGHT, Extractor(WORDS))
    assert (found.subject, found.rhyme_group, found.regular) == ("登览", "十一尤", True)
    assert found.pattern == "a_unrhymed"
    assert found.keywords == ("白日", "黄河", "千里")
    broken = labels_of(BROKEN, Extractor(WORDS))
    assert (broken.subject, broken.rhyme_group, broken.regular) == (None, None, False)


def test_summary_counts_by_form_and_dynasty():
    extractor = Extractor(WORDS)
    table = summary([NIGHT, BROKEN], [labels_of(NIGHT, extractor), labels_of(BROKEN, extractor)])
    assert table["wujue/tang"] == {
        "poems": 2,
        "regular": 0.5,
        "rhyme_group": 0.5,
        "subject": 0.5,
        "keywords": 2.5,
    }
    assert table["subjects"] == {"登览": 1, "none": 1}


def test_labels_command_writes_a_row_for_each_poem(tmp_path, monkeypatch, capsys):
    splits = {"train": [NIGHT, BROKEN], "validation": [NIGHT], "test": [BROKEN]}
    corpus.write(splits, tmp_path, {})
    monkeypatch.setattr(sys, "argv", ["labels", "--corpus", str(tmp_path)])
    labels.main()
    assert '"regular": 0.5' in capsys.readouterr().out
    rows = (tmp_path / "train.labels.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["regular"] for row in rows] == [True, False]
