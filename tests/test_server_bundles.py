"""The shipped bundles behind the real server, as a process: what a newcomer runs."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import image2poem
from image2poem import Client, Finished, Retrieved, Token
from index_builder import artifact
from index_builder.build import build_version
from index_builder.keywords import read_keywords
from models.bundle import open_bundle, write_bundle
from models.clip import Encoder

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = ROOT / "models" / "bundles"
KEYWORDS = ROOT / "index_builder" / "data" / "keywords.tsv"
CLIENTS = str(Path(image2poem.__file__).resolve().parent.parent)


def jpeg(seed: int, size: tuple[int, int] = (1280, 800), **options) -> bytes:
    """Clouds of colour: smooth noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", **options)
    return out.getvalue()


def bomb() -> bytes:
    """A PNG whose header promises 20,000 × 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("index")
    encoder = Encoder.open(open_bundle(BUNDLES / "lite", kind="encoder"))
    artifact.publish(root, build_version(read_keywords(KEYWORDS), encoder, root=root))
    return root


@pytest.fixture(scope="module")
def process(index, tmp_path_factory):
    log = (tmp_path_factory.mktemp("log") / "server.log").open("w")
    child = subprocess.Popen(
        [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--index", str(index)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": CLIENTS},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    started = time.monotonic()
    child.address = json.loads(child.stdout.readline())["address"]
    child.seconds = time.monotonic() - started
    yield child
    child.terminate()
    assert child.wait(20) == 0
    child.stdout.close()
    log.close()


@pytest.fixture(scope="module")
def client(process):
    with Client(process.address, timeout=30) as client:
        yield client


def last(events):
    return list(events)[-1]


def test_it_is_small_and_knows_no_torch(process, client):
    last(client.compose(picture=jpeg(1), candidates=4))
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 600 * 1024
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert "torch" not in maps
    # 3 s on an idle machine; tests share theirs.
    assert process.seconds < 12


@pytest.mark.parametrize("poet", ["t5", "gpt2"])
@pytest.mark.parametrize(("form", "shape"), [("wujue", (4, 5)), ("qijue", (4, 7))])
def test_poems_have_the_shape_of_their_form(client, poet, form, shape):
    end = last(client.compose(picture=jpeg(1), poet=poet, form=form))
    assert isinstance(end, Finished)
    assert (len(end.poem), {len(line) for line in end.poem}) == (shape[0], {shape[1]})
    assert len(end.keywords) == 8


@pytest.mark.parametrize("poet", ["t5", "gpt2"])
def test_the_same_seed_twice(client, poet):
    def write():
        events = list(client.compose(picture=jpeg(2), seed=11, candidates=2, poet=poet))
        return [event for event in events if isinstance(event, (Retrieved, Token))], events[-1].poem

    assert write() == write()


@pytest.mark.parametrize("poet", ["t5", "gpt2"])
@pytest.mark.parametrize("book", ["pingshui", "cilin", "xinyun", "tongyun"])
def test_poems_keep_the_rules_unless_told_otherwise(client, poet, book):
    end = last(client.compose(picture=jpeg(3), poet=poet, candidates=4, temperature=1.0, rhyme_book=book))
    for candidate in end.candidates:
        assert candidate.conformity.conforms_resolved
        assert candidate.conformity.rhyme_book == book
    free = last(client.compose(picture=jpeg(3), poet=poet, candidates=16, temperature=1.0, regulated=False))
    assert not all(candidate.conformity.conforms for candidate in free.candidates)


@pytest.mark.parametrize("poet", ["t5", "gpt2"])
def test_a_poem_is_written_around_what_is_fixed(client, poet):
    wish = {"acrostic": "春江花月", "fixed_texts": [(1, 5, "东流"), (3, 0, "月落乌啼霜满天")]}
    with pytest.raises(image2poem.ImpossibleRules, match="cannot rhyme"):
        last(client.compose(text="秋江", poet=poet, **wish))
    wish["fixed_texts"][1] = (3, 0, "月照龘楼")
    end = last(client.compose(text="秋江", poet=poet, form="qijue", **wish))
    assert "".join(line[0] for line in end.poem) == "春江花月"
    assert end.poem[1].endswith("东流")
    assert end.poem[3].startswith("月照龘楼")
    assert (end.conformity.conforms, end.conformity.rhyme_group) == (True, "十一尤")


def test_a_line_of_a_known_poem_is_named(client):
    end = last(client.compose(text="秋江", form="qijue", fixed_texts=[(0, 0, "月落乌啼霜满天")]))
    first = end.copied_lines[0]
    assert (first.line, first.dynasty, first.author, first.title) == (0, "tang", "张继", "枫桥夜泊")
    assert client.info().sources.lines > 1_000_000


def test_pattern_and_rhyme_are_the_callers_choice(client):
    wish = {"pattern": "b_rhymed", "rhyme_group": "尤", "form": "wujue"}
    conformity = last(client.compose(picture=jpeg(1), **wish)).conformity
    assert (conformity.pattern, conformity.rhyme_group) == ("b_rhymed", "十一尤")
    books = {book.book: book for book in client.info().rhyme_books}
    assert len(books["pingshui"].rhyme_groups) == 30
    for book in books.values():
        group = book.rhyme_groups[0]
        end = last(client.compose(text="春风", rhyme_book=book.book, rhyme_group=group))
        assert end.conformity.rhyme_group == group


def test_impossible_rules_are_refused_before_anything_else(client):
    """Before the keywords, and before the picture is even looked at."""
    events = client.compose(picture=b"no picture", form="wujue", pattern="b_rhymed", acrostic="月")
    with pytest.raises(image2poem.ImpossibleRules, match="line 1, place 1 asks for 平, 月 is 仄"):
        next(events)


def test_two_pictures_differ(client):
    first, second = (client.lookup_keywords(picture=jpeg(seed)).keywords for seed in (1, 2))
    assert first != second


def test_bad_pictures_are_refused_and_harm_nobody(client):
    whole = jpeg(3)
    for data in (b"not a picture at all", whole[: len(whole) // 2], bomb(), whole[:3], b"GIF89a"):
        with pytest.raises(image2poem.InvalidImage):
            client.lookup_keywords(picture=data)
    assert client.lookup_keywords(picture=whole).keywords


def test_words_that_nobody_has_seen_and_traditional_ones(client):
    assert last(client.compose(keywords=["龘龘", "故鄉"], form="wujue")).finish_reason == "complete"
    assert client.lookup_keywords(text="輕舟已過萬重山", top_k=3).keywords


def test_an_index_of_another_encoder_is_refused(index, tmp_path):
    bundle = open_bundle(BUNDLES / "lite")
    files = {name: bundle.file(name) for name in bundle.manifest["files"]}
    other = write_bundle(tmp_path / "other", {**bundle.manifest, "name": "other"}, files)
    status, complaint = start_and_fail("--index", str(index), "--encoder", str(other.path))
    assert (status, "built by the encoder" in complaint) == (1, True)


def test_a_corrupt_bundle_and_a_missing_index_are_refused(index, tmp_path):
    broken = tmp_path / "gpt2"
    broken.mkdir()
    for file in (BUNDLES / "gpt2").iterdir():
        data = bytearray(file.read_bytes())
        if file.suffix == ".onnx":
            data[len(data) // 2] ^= 1
        (broken / file.name).write_bytes(data)
    status, complaint = start_and_fail("--index", str(index), "--poet", f"gpt2={broken}")
    assert (status, "SHA-256" in complaint) == (1, True)
    status, complaint = start_and_fail("--index", str(tmp_path / "nowhere"))
    assert (status, "index_builder build" in complaint) == (1, True)


def start_and_fail(*arguments):
    """Exit status, and the one line that says why."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": CLIENTS},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    [complaint] = [line for line in done.stderr.splitlines() if line.startswith("server: ")]
    return done.returncode, complaint
