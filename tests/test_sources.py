"""Lines known again by their hashes: each line of a corpus gives its poem, no other does, damage is found."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, CorruptArtifact, open_bundle, write_bundle
from models.sources import AUTHORS, BUCKETS, RECORDS, REPEATED, TITLES, Layout, Source, Sources
from models.training import sources as builder
from models.training.corpus import Poem
from models.training.corpus import write as write_corpus

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "models" / "bundles" / "sources"
FACTS = {"licence": "public domain"}
CHARACTERS = [chr(0x4E00 + place) for place in range(3000)]


def poem(*lines: str, dynasty: str = "song", author: str = "陆游", title: str = "无题") -> Poem:
    return Poem(form="wujue", dynasty=dynasty, author=author, title=title, lines=lines)


def drawn_poems(count: int, seed: int = 0) -> Iterator[Poem]:
    """Poems of four drawn lines, with a few authors and many titles."""
    draw = random.Random(seed)
    for _ in range(count):
        lines = ["".join(draw.choices(CHARACTERS, k=5)) for _ in range(4)]
        author = draw.choice(["李白", "杜甫", "陆游", "释绍嵩"])
        title = "".join(draw.choices(CHARACTERS, k=draw.randrange(1, 30)))
        yield poem(*lines, dynasty=draw.choice(["tang", "song", "明"]), author=author, title=title)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[list[Poem], Bundle]:
    poems = list(drawn_poems(1500))
    return poems, builder.write(poems, tmp_path_factory.mktemp("drawn") / "sources", FACTS)


def opened(path: Path, *poems: Poem) -> Sources:
    return Sources.open(builder.write(poems, path / "sources", FACTS))


def test_every_line_gives_its_poem(drawn):
    poems, bundle = drawn
    sources = Sources.open(bundle)
    for each in poems:
        dynasty, author, title = builder.name_of(each)
        for line in each.lines:
            assert sources.of(line) == Source(dynasty, author, title)


def test_other_lines_give_nothing(drawn):
    poems, bundle = drawn
    sources, known = Sources.open(bundle), {line for each in poems for line in each.lines}
    others = {line for each in drawn_poems(1500, seed=1) for line in each.lines} - known
    assert [line for line in others if sources.of(line)] == []
    line = poems[0].lines[0]
    for near in (line[:4], line[::-1], line + "，", f" {line}", "", "\ud800"):
        assert sources.of(near) is None


def test_the_earliest_poem_is_named_and_others_are_mentioned(tmp_path):
    late, early = (
        poem("何处春深好", title="春"),
        poem("何处春深好", dynasty="tang", author="白居易", title="春深"),
    )
    sources = opened(tmp_path, late, poem("春深富贵家", title="一"), poem("春深富贵家", title="二"), early)
    assert sources.of("何处春深好") == Source("tang", "白居易", "春深", elsewhere=True)
    assert sources.of("春深富贵家") == Source("song", "陆游", "一", elsewhere=True)


def test_the_packages_order_tells_which_author_is_earlier(tmp_path):
    """By the median: one early poem, of unsure date perhaps, moves nobody."""
    folder = tmp_path / "package" / "dist" / "quantangshi"
    folder.mkdir(parents=True)
    order = ["釋紹嵩", "林逋", "林逋", "釋紹嵩", "釋紹嵩"]
    records = [{"author": author, "title": "", "paragraphs": []} for author in order]
    (folder / "poet.song.0.json").write_text(json.dumps(records), encoding="utf-8")
    places = builder.author_places(tmp_path / "package")
    assert places == {("song", "释绍嵩"): 3, ("song", "林逋"): 1.5}
    poems = [poem("疏影横斜水清浅", author=author) for author in ("无名", "释绍嵩", "林逋")]
    first, repeated = builder.earliest(poems, places)
    assert (first["疏影横斜水清浅"][1], repeated) == ("林逋", {"疏影横斜水清浅"})
    assert builder.earliest(poems)[0]["疏影横斜水清浅"][1] == "无名"


def test_two_poems_of_one_name_are_one_source(tmp_path):
    sources = opened(tmp_path, poem("一二三四五", "六七八九十"), poem("一二三四五", "甲乙丙丁戊"))
    assert sources.of("一二三四五") == sources.of("甲乙丙丁戊") == Source("song", "陆游", "无题")
    assert sources.layout.sources == 1


def test_names_are_one_line_and_not_too_long(tmp_path):
    sources = opened(
        tmp_path,
        poem("一二三四五", title="秋兴八首\u3000 其一"),
        poem("六七八九十", title="长" * 207),
        poem("甲乙丙丁戊", dynasty="", author="", title=""),
        poem("己庚辛壬癸", author="赵与{𥫗/？/心}", title="次韵\t\n和𪩘"),
    )
    assert sources.of("一二三四五").title == "秋兴八首 其一"
    assert sources.of("六七八九十").title == "长" * 23 + "…"
    assert sources.of("甲乙丙丁戊") == Source("", "", "")
    assert sources.of("己庚辛壬癸") == Source("song", "赵与{𥫗/？/心}", "次韵 和𪩘")


def test_the_same_poems_give_the_same_bytes(drawn, tmp_path):
    poems, bundle = drawn
    again = builder.write(poems, tmp_path / "again", FACTS)
    assert again.fingerprint == bundle.fingerprint
    assert builder.write(poems[1:], tmp_path / "fewer", FACTS).fingerprint != bundle.fingerprint


def test_no_line_and_no_title_is_in_the_clear(drawn):
    poems, bundle = drawn
    content = b"".join(file.read_bytes() for file in bundle.path.iterdir())
    for text in (poems[0].lines[0], poems[0].text[:3], poems[0].title[:3]):
        for code in ("utf-8", "utf-16-le", "utf-16-be"):
            assert text.encode(code) not in content


def test_hashes_are_what_they_were():
    """A bundle stays readable: these are in what was shipped."""
    layout = Layout(lines=1347893, sources=209347, buckets=1 << 20, width=38)
    assert layout.place("床前明月光") == (458514, 1305855)
    assert dataclasses.replace(layout, salt=1).place("床前明月光") != layout.place("床前明月光")


@pytest.mark.parametrize(("lines", "names"), [(1, 1), (2, 1), (7, 3), (6000, 1500), (1347893, 209386)])
def test_false_positives_are_one_in_a_million_at_most_and_bits_few(lines, names):
    layout = Layout.smallest(lines, names)
    assert lines / 2 < layout.buckets <= lines
    assert layout.false_positive_rate == lines / (layout.buckets * layout.checks) <= 1e-6
    fewer = dataclasses.replace(layout, width=layout.width - 1)
    assert fewer.checks == 0 or fewer.false_positive_rate > 1e-6


def test_of_very_many_lines_few_collide_under_one_salt():
    layout = Layout.smallest(10**8, 10**7)
    assert layout.false_positive_rate * layout.lines / 2 < 1


def test_the_rate_is_the_one_that_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("models.sources.MOST_FALSE_POSITIVES", 1)
    sources = opened(tmp_path, *drawn_poems(50))
    draw = random.Random(3)
    found = sum(sources.of("".join(draw.choices(CHARACTERS, k=7))) is not None for _ in range(40_000))
    assert found / 40_000 == pytest.approx(sources.layout.false_positive_rate, rel=0.3)


@pytest.mark.parametrize("width", [1, 7, 8, 38, 64])
@pytest.mark.parametrize("count", [1, 3, 8, 70_001])
def test_numbers_are_packed_bit_by_bit(width, count):
    draw = random.Random(width)
    numbers = [draw.getrandbits(width) for _ in range(count)]
    packed = builder.pack(np.array(numbers, dtype=np.uint64), width)
    assert len(packed) == (count * width + 7) // 8
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    assert not bits[count * width :].any()
    rows = bits[: count * width].reshape(count, width)
    assert [sum(1 << place for place in np.flatnonzero(row).tolist()) for row in rows] == numbers


@pytest.mark.parametrize("name", [RECORDS, BUCKETS, REPEATED, AUTHORS, TITLES, "manifest.json"])
def test_a_flipped_bit_is_found(drawn, tmp_path, name):
    path = copied(drawn[1], tmp_path)
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    with pytest.raises(CorruptArtifact):
        open_bundle(path)


@pytest.mark.parametrize("name", [RECORDS, BUCKETS, REPEATED, AUTHORS, TITLES])
@pytest.mark.parametrize("content", [b"", b"\x00", b"x\x9c damaged"], ids=str)
def test_content_that_does_not_fit_is_refused_though_sealed(drawn, tmp_path, name, content):
    (tmp_path / "odd").write_bytes(content)
    files = {file: drawn[1].file(file) for file in drawn[1].manifest["files"]} | {name: tmp_path / "odd"}
    bundle = write_bundle(tmp_path / "sealed", drawn[1].manifest, files)
    with pytest.raises(CorruptArtifact):
        Sources.open(bundle).prepare()


@pytest.mark.parametrize(
    "change",
    [
        {"lines": 5999},
        {"sources": 3},
        {"sources": 0},
        {"buckets": 8},
        {"width": 0},
        {"width": "38"},
        {"depth": 1},
    ],
    ids=str,
)
def test_a_layout_that_does_not_fit_is_refused(drawn, tmp_path, change):
    manifest = {**drawn[1].manifest, "layout": {**drawn[1].manifest["layout"], **change}}
    files = {file: drawn[1].file(file) for file in drawn[1].manifest["files"]}
    with pytest.raises(CorruptArtifact):
        Sources.open(write_bundle(tmp_path / "odd", manifest, files)).prepare()


def copied(bundle: Bundle, folder: Path) -> Path:
    for file in bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def corpus(folder: Path, licence: str, **splits: list[Poem]) -> tuple[str, str]:
    """Written as training reads it. Returns its folder, and the SHA-256 of its training split."""
    summary = write_corpus(splits, folder, {"source": "ours", "licence": licence})
    return str(folder), summary["splits"]["train"]["sha256"]


def test_the_command_reads_the_training_splits_alone(tmp_path, capsys):
    held_out = [poem("六七八九十", title="乙")]
    one, hash_of_one = corpus(
        tmp_path / "one", "CC0-1.0", train=[poem("一二三四五", title="甲")], test=held_out
    )
    two, hash_of_two = corpus(tmp_path / "two", "ours", train=[poem("甲乙丙丁戊", title="丙")])
    builder.main(["--corpus", one, two, "--out", str(tmp_path / "sources")])
    assert capsys.readouterr().out.startswith("2 lines of 2 poems, 0 of them in several; ")
    bundle = open_bundle(tmp_path / "sources", kind="sources")
    assert bundle.manifest["licence"] == "of the poems: CC0-1.0; of the poems: ours"
    assert [each["sha256"] for each in bundle.manifest["training"]["corpora"]] == [hash_of_one, hash_of_two]
    sources = Sources.open(bundle)
    assert (sources.of("一二三四五").title, sources.of("甲乙丙丁戊").title) == ("甲", "丙")
    assert sources.of("六七八九十") is None


def test_a_corpus_without_a_poem_is_told(tmp_path, capsys):
    folder, _ = corpus(tmp_path / "none", "CC0-1.0", train=[])
    with pytest.raises(SystemExit):
        builder.main(["--corpus", folder, "--out", str(tmp_path / "sources")])
    assert "no poem" in capsys.readouterr().err


def test_the_shipped_bundle_names_poems():
    bundle = open_bundle(SHIPPED, kind="sources")
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 8_000_000
    assert bundle.manifest["false_positive_rate"] <= 1e-6
    sources = Sources.open(bundle)
    assert sources.of("朝辞白帝彩云间") == Source("tang", "李白", "早发白帝城")
    assert sources.of("月落乌啼霜满天") == Source("tang", "张继", "枫桥夜泊", elsewhere=True)
    # Poems made of others' lines quote this one; the package's order tells that Lin Bu is earlier.
    assert sources.of("疏影横斜水清浅") == Source("song", "林逋", "山园小梅二首 其一", elsewhere=True)
    assert sources.of("龘龘龘龘龘") is None


def test_reading_needs_nothing_of_the_learning_rooms():
    code = "import models.sources, sys; print([m for m in sys.modules if 'training' in m or m == 'torch'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
