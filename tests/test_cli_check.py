"""`image2poem check` against a real server, and the clients' `check_poem`."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import unicodedata

import pytest

import image2poem
from image2poem import AsyncClient, Client
from image2poem.__main__ import main
from image2poem._cli.check_report import CheckReport

TOWER = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
STILL = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
LONGING = "岐王宅里寻常见，崔九堂前几度闻。正是江南好风景，落花时节又逢君。"


@pytest.fixture
def run(server, capsys, monkeypatch):
    """Runs `check` with these arguments, and gives its exit status, output and errors."""
    monkeypatch.setenv("IMAGE2POEM_TARGET", server.target)

    def run(*arguments):
        try:
            status = main(["check", *arguments])
        except SystemExit as left:
            status = left.code
        return status, *capsys.readouterr()

    return run


def columns(text):
    """How many columns a terminal gives it."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def test_a_good_poem_for_people(run):
    status, out, err = run(TOWER)
    assert (status, err) == (0, "")
    heading, blank, *rows = out.splitlines()
    assert heading == "五绝 · 仄起首句不入韵（正格） · 平水韵 十一尤 · 合律, it keeps the rules"
    assert blank == ""
    assert rows[:5] == [
        " 1  白 日 依 山 尽",
        "    仄 仄 平 平 仄",
        " 2  黄 河 入 海 流 韵",
        "    平 平 仄 仄 平",
        "",
    ]
    assert rows[-1].startswith("平 level  仄 oblique")


def places(row):
    """The column at which each glyph of a row stands."""
    return [columns(row[:place]) for place, glyph in enumerate(row) if place >= 4 and not glyph.isspace()]


def test_every_tone_stands_under_its_character(run):
    for text in (TOWER, STILL, LONGING, "床前□月光，疑是𰻝上霜。举头望明月，低头思故乡。"):
        rows = run(text)[1].splitlines()
        verses = [number for number, row in enumerate(rows) if row[:4].strip().isdigit()]
        assert len(verses) == 4
        for number in verses:
            tones = rows[number + 1]
            assert set(tones) <= set("平仄中？ ")
            assert places(rows[number])[: len(places(tones))] == places(tones)
            assert len(places(tones)) == len(text) // 4 - 1


def test_faults_are_marked_under_the_character_and_explained_below(run):
    status, out, _ = run(STILL)
    rows = out.splitlines()
    assert status == 0
    assert rows[0].endswith("不合律, 3 faults")
    assert rows[2:8] == [
        " 1  床 前 明 月 光 韵",
        "    平 平 平 仄 平",
        " 2  疑 是 地 上 霜 韵",
        "    平 仄 仄 仄 平",
        "    \u3000 \u3000 \u3000 误",
        "",
    ]
    notes = rows[rows.index(next(row for row in rows if row.startswith("平 level"))) + 2 :]
    assert [note[:11] for note in notes if note.startswith("误")] == [
        "误  line 2  ",
        "误  line 3  ",
        "误  line 3  ",
    ]
    assert "失对" in " ".join(notes)
    assert all(columns(row) <= 100 for row in rows)


def test_rescues_are_shown(run):
    rows = run(LONGING)[1].splitlines()
    assert "    \u3000 \u3000 \u3000 \u3000 救 救" in rows
    assert any(row.startswith("救  line 3") for row in rows)


def test_a_text_without_form(run):
    status, out, _ = run("关关雎鸠，在河之洲。")
    assert status == 0
    assert out.startswith("none of the four forms · 不合律, 3 faults\n")


def test_for_programs(run):
    status, out, err = run(LONGING, "--json")
    assert (status, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert list(found) == [
        "form",
        "pattern",
        "pattern_name",
        "rhyme_book",
        "rhyme_group",
        "conforms",
        "conforms_resolved",
        "lines",
        "faults",
        "rescues",
    ]
    assert (found["form"], found["pattern"]) == ("qijue", "a_unrhymed")
    assert (found["rhyme_book"], found["rhyme_group"]) == ("pingshui", "十二文")
    assert found["conforms"] is True
    assert [set(line) for line in found["lines"]] == [{"text", "characters", "rhymed"}] * 4
    character = found["lines"][2]["characters"][4]
    assert set(character) == {"text", "tone", "readings", "required", "verdict"}
    assert (character["text"], character["tone"], character["required"]) == ("好", "oblique", "level")
    assert character["verdict"] == "rescued"
    assert set(character["readings"][0]) == {"tone", "rhyme_group", "prior"}
    [rescue] = found["rescues"]
    assert (rescue["kind"], rescue["line"], rescue["positions"]) == ("special_form", 2, [4, 5])
    [first, *_] = json.loads(run(STILL, "--json")[1])["faults"]
    assert set(first) == {"kind", "name", "severity", "line", "positions", "explanation"}
    assert (first["kind"], first["name"], first["severity"]) == ("lost_opposition", "失对", "error")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_file(run, tmp_path, encoding):
    path = tmp_path / "poem.txt"
    path.write_text(f"登鹳雀楼\n王之涣\n\n{TOWER}\n", encoding=encoding)
    status, out, _ = run(str(path), "--json")
    found = json.loads(out)
    assert (status, found["file"], found["conforms"]) == (0, str(path), True)
    assert found["lines"][0]["text"] == "白日依山尽"


def test_several_files(run, tmp_path):
    paths = []
    for name, text in (("a.txt", TOWER), ("b.txt", STILL)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        paths.append(str(tmp_path / name))
    status, out, _ = run(*paths, "--json")
    assert status == 0
    assert [json.loads(line)["conforms"] for line in out.splitlines()] == [True, False]
    rows = run(*paths)[1].splitlines()
    assert [row for row in rows if row in paths] == paths


def test_standard_input(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TOWER.encode()), encoding="ascii"))
    status, out, _ = run("-", "--json")
    assert (status, json.loads(out)["conforms"]) == (0, True)


def test_a_line_an_argument(run):
    status, out, _ = run(*TOWER.replace("，", "。").rstrip("。").split("。"), "--json")
    assert (status, json.loads(out)["form"]) == (0, "wujue")


@pytest.mark.parametrize(
    ("name", "stable"), [("cilin", "cilin"), ("词林正韵", "cilin"), ("中华新韵", "xinyun")]
)
def test_another_rhyme_book(run, name, stable):
    status, out, _ = run(TOWER, "--rhyme-book", name, "--json")
    assert (status, json.loads(out)["rhyme_book"]) == (0, stable)


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["missing.txt"], 1, "missing.txt"),
        ([""], 1, "No such file"),
        (["山" * 300], 1, "1 to 200 characters"),
        ([TOWER, "--rhyme-book", "webster"], 2, "webster"),
        ([], 2, "usage:"),
    ],
)
def test_failures(run, arguments, status, word):
    found, out, err = run(*arguments)
    assert (found, out) == (status, "")
    assert word in err
    assert "Traceback" not in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_is_for_terminals_alone(server):
    with Client(server.target) as client:
        found = client.check_poem(STILL)
    for out, environment, coloured in (
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ):
        CheckReport(out, environment).poem(found, "")
        assert ("\x1b[31m误" in out.getvalue()) == coloured
        assert ("\x1b" in out.getvalue()) == coloured


def test_both_clients(server):
    async def ask():
        async with AsyncClient(server.target) as client:
            with pytest.raises(image2poem.InvalidOption):
                await client.check_poem(TOWER, rhyme_book="webster")
            return await client.check_poem(STILL, rhyme_book="cilin")

    with Client(server.target) as client:
        found = client.check_poem(STILL, rhyme_book="cilin")
        assert found == asyncio.run(ask())
        assert (found.form, found.rhyme_book, found.conforms) == ("wujue", "cilin", False)
        assert found.faults[0].positions == (3,)
        assert isinstance(found.lines[0].characters[0].readings[0], image2poem.Reading)
        hash(found)
        for wish in ({"text": ""}, {"text": "moon"}, {"text": TOWER, "rhyme_book": "webster"}):
            with pytest.raises(image2poem.InvalidOption):
                client.check_poem(**wish)
