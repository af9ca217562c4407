"""People's own poems become a corpus; what is no poem is counted and found again."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from models.bundle import sha256_of
from models.prosody import form_named
from models.training.corpus import SPLITS, Poem, load
from models.training.keyword_extraction import Extractor
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import MinedWord
from models.training.own_poems import BAD_ROWS, main
from models.training.poem_files import layout_of

ROOT = Path(__file__).resolve().parent.parent
CCPC = ROOT.parent / "shared" / "corpora" / "ccpc_valid_v1.0.json"
STORK = {
    "content": "白日依山盡|黃河入海流|欲窮千里目|更上一層樓",
    "keywords": "白日 黄河",
    "title": "登鸛雀樓",
    "author": "王之渙",
    "dynasty": "Tang",
}
SNOW = {"content": "千山鳥飛絕|萬徑人蹤滅|孤舟蓑笠翁|獨釣寒江雪", "title": "江雪"}
RECORDS = [STORK, SNOW]


@pytest.fixture
def imported(tmp_path) -> Callable[..., list[Poem]]:
    """Import a file's text; returns the poems of all splits in the order of their text."""

    def run(name: str, text: str | bytes, *flags: str) -> list[Poem]:
        source = tmp_path / name
        source.write_bytes(text.encode() if isinstance(text, str) else text)
        assert main(["--in", str(source), "--out", str(tmp_path / "out"), *flags]) == 0
        poems = [poem for split in SPLITS for poem in load(tmp_path / "out", split)]
        return sorted(poems, key=lambda poem: poem.text)

    return run


def bad_rows(folder: Path) -> list[tuple[int, str]]:
    rows = map(json.loads, (folder / "out" / BAD_ROWS).read_text(encoding="utf-8").splitlines())
    return [(row["line"], row["reason"]) for row in rows]


def as_json_lines(records: list[dict]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def as_csv(records: list[dict], path: Path) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(STORK))
        table.writeheader()
        table.writerows(records)
    return path.read_text(encoding="utf-8")


def test_each_layout_gives_the_same_poems(imported, tmp_path):
    expected = imported("poems.jsonl", as_json_lines(RECORDS))
    assert imported("poems.json", json.dumps(RECORDS)) == expected
    assert imported("poems.json", "\ufeff" + as_json_lines(RECORDS)) == expected
    assert imported("poems.csv", as_csv(RECORDS, tmp_path / "made.csv")) == expected
    snow, stork = expected
    assert snow.lines == ("千山鸟飞绝", "万径人踪灭", "孤舟蓑笠翁", "独钓寒江雪")
    assert (stork.form, stork.dynasty, stork.author, stork.title) == ("wujue", "tang", "王之涣", "登鹳雀楼")
    assert bad_rows(tmp_path) == []


def test_plain_text_with_any_marks_and_of_any_form(imported):
    lines = ["春花秋月何时了也", "往事知多少今宵又", "东风小楼昨夜雨急", "故国月明不堪回首"]
    wanted = {}
    for name in ("wujue", "qijue", "wulv", "qilv"):
        form = form_named(name)
        poem = [line[: form.characters] for line in (lines * 2)[: form.lines]]
        wanted[name] = "，".join(poem[:2]) + "。" + " ".join(poem[2:-1]) + "！" + poem[-1] + "。"
    poems = imported("poems.txt", "\n\n".join(wanted.values()) + "\n")
    assert {poem.form for poem in poems} == set(wanted)


def test_fields_may_have_other_names_and_lines_may_be_a_list(imported):
    record = {"paragraphs": ["床前明月光，", "疑是地上霜。", "举头望明月，", "低头思故乡。"], "poet": "李白"}
    flags = ["--field", "content=paragraphs", "--field", "author=poet"]
    [poem] = imported("poems.json", json.dumps([record]), *flags)
    assert (poem.lines[0], poem.author, poem.dynasty) == ("床前明月光", "李白", "unknown")


def test_given_keywords_are_kept_and_missing_ones_found(imported):
    snow, stork = imported("poems.jsonl", as_json_lines(RECORDS))
    assert stork.keywords == ("白日", "黄河")
    assert 1 <= len(snow.keywords) <= 4
    found_in = [
        next(place for place, line in enumerate(snow.lines) if word in line) for word in snow.keywords
    ]
    assert found_in == sorted(set(found_in))
    snow, stork = imported("poems.jsonl", as_json_lines(RECORDS), "--no-extract")
    assert (snow.keywords, stork.keywords) == ((), ("白日", "黄河"))


def test_the_rarest_listed_word_of_a_line_is_its_keyword():
    counts = {"千山": 900, "山鸟": 100, "孤舟": 500, "舟": 30, "雪": 9000}
    extractor = Extractor([MinedWord(word=word, count=count, category="x") for word, count in counts.items()])
    lines = ("千山鸟飞绝", "万径人踪灭", "孤舟蓑笠翁", "独钓寒江雪")
    poem = Poem(form="wujue", dynasty="", author="", title="", lines=lines)
    assert extractor.keywords_of(poem) == ("千山", "孤舟", "雪")


def test_training_draws_from_the_keywords_that_were_given(imported):
    _, stork = imported("poems.jsonl", as_json_lines(RECORDS))
    sampler = KeywordSampler([MinedWord(word="千里", count=30, category="land")], 1000)
    rng = random.Random(0)
    drawn = [sampler.draw(stork, rng) for _ in range(100)]
    assert {word for words in drawn for word in words} == {"白日", "黄河"}
    assert {len(words) for words in drawn} == {1, 2}


def test_every_bad_row_is_listed_with_its_line_and_reason(imported, tmp_path):
    short = "白日依山尽|黄河入海流"
    rows = [
        json.dumps(STORK),
        "{broken",
        "",
        '["no", "object"]',
        json.dumps({"title": "content is missing"}),
        json.dumps({"content": " | "}),
        json.dumps({"content": {"a": 1}}),
        json.dumps({"content": short}),
        json.dumps({"content": SNOW["content"].replace("雪", "□")}),
        json.dumps({"content": SNOW["content"].replace("雪", "々")}),
        json.dumps({**SNOW, "keywords": "snow 江"}),
        json.dumps({**SNOW, "title": "\ud800"}),
        b'{"content": "\xff"}',
        json.dumps({**STORK, "content": STORK["content"].replace("盡", "近")}),
        json.dumps(SNOW),
    ]
    text = b"\n".join(row.encode() if isinstance(row, str) else row for row in rows)
    assert len(imported("poems.jsonl", text)) == 2
    expected = ["unreadable", "unreadable", "no_content", "no_content", "bad_field", "no_form", "not_chinese"]
    expected += ["odd_character", "bad_keywords", "unreadable", "unreadable", "duplicate"]
    assert bad_rows(tmp_path) == list(zip([2, *range(4, 15)], expected, strict=True))


def test_the_summary_counts_all_rows(imported, tmp_path, capsys):
    imported("poems.jsonl", as_json_lines([*RECORDS, STORK, {"content": "短"}]), "--licence", "mine")
    told = capsys.readouterr()
    assert "poems.jsonl: 2 poems in 4 rows" in told.err
    assert "2 bad rows (1 duplicate, 1 no_form)" in told.err
    assert "too few to hold any out" in told.err
    summary = json.loads((tmp_path / "out" / "corpus.json").read_text(encoding="utf-8"))
    assert summary == json.loads(told.out)
    assert summary["bad_rows"] == {"duplicate": 1, "no_form": 1}
    assert (summary["keywords"], summary["licence"]) == ({"extracted": 1, "given": 1}, "mine")
    assert summary["splits"]["train"]["sha256"] == sha256_of(tmp_path / "out" / "train.jsonl")


def test_csv_rows_keep_their_line_and_a_bad_one_spoils_no_other(imported, tmp_path):
    lines = [
        "title,content",
        '"a title',
        f'on two lines","{SNOW["content"]}"',
        "one column",
        "",
        f'"wrong "quotes",{STORK["content"]}',
        f"stork,{STORK['content']}",
        'never closed,"床前明月光',
    ]
    assert len(imported("poems.csv", "\r\n".join(lines))) == 2
    assert bad_rows(tmp_path) == [(4, "unreadable"), (6, "unreadable"), (8, "unreadable")]


def test_a_json_array_is_read_up_to_where_it_breaks(imported, tmp_path):
    text = f"[\n{json.dumps(STORK)},\n7,\n{json.dumps(SNOW)},\n{{broken"
    assert len(imported("poems.json", text)) == 2
    assert bad_rows(tmp_path) == [(3, "unreadable"), (5, "unreadable")]


def test_poems_that_are_held_out_elsewhere_are_left_out(imported, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    [poem] = imported("snow.jsonl", as_json_lines([SNOW]))
    (other / "test.jsonl").write_text(json.dumps(asdict(poem)) + "\n", encoding="utf-8")
    (other / "validation.jsonl").write_text("", encoding="utf-8")
    [left] = imported("poems.jsonl", as_json_lines(RECORDS), "--apart-from", str(other))
    assert left.title == "登鹳雀楼"
    assert bad_rows(tmp_path) == [(2, "held_out")]


def test_nothing_left_and_wrong_usage_are_told(tmp_path, capsys):
    empty = tmp_path / "poems.txt"
    empty.write_text("prose\n", encoding="utf-8")
    out = ["--out", str(tmp_path / "out")]
    assert main(["--in", str(empty), *out]) == 1
    assert "no poem is left" in capsys.readouterr().err
    wrong = [
        ["--field", "colour=x"],
        ["--in", str(tmp_path / "missing.txt")],
        ["--in", str(ROOT / "Makefile")],
    ]
    for flags in wrong:
        with pytest.raises(SystemExit) as stopped:
            main(["--in", str(empty), *out, *flags])
        assert stopped.value.code == 2


@pytest.mark.skipif(not CCPC.exists(), reason="CCPC is not here: it may be used, not passed on")
def test_ccpc_itself_is_read(tmp_path):
    assert layout_of(CCPC) == "ccpc"
    assert main(["--in", str(CCPC), "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "corpus.json").read_text(encoding="utf-8"))
    [source] = summary["source"]
    assert source["rows"] == 7979
    assert source["poems"] + sum(summary["bad_rows"].values()) == source["rows"]
    assert source["poems"] > 7900
    assert summary["keywords"] == {"given": source["poems"]}
    assert sum(split["poems"] for split in summary["splits"].values()) == source["poems"]
