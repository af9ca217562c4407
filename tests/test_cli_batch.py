"""`image2poem batch` against a real server: what it writes, what it skips, and how it ends."""

from __future__ import annotations

import json
import os
import signal

import pytest

from fakes import BROKEN_PICTURE, OTHER_PICTURE, PICTURE, FakePoet, GatedPoet, eventually
from image2poem.__main__ import main
from test_cli import spawn


@pytest.fixture
def folder(tmp_path):
    """Five pictures, two of them the same, and what is none."""
    root = tmp_path / "pictures"
    (root / "autumn" / ".thumbnails").mkdir(parents=True)
    for name in ("a.jpg", "b.JPEG", "c.png", "autumn/d.webp"):
        (root / name).write_bytes(PICTURE + name.encode())
    (root / "e.gif").write_bytes(OTHER_PICTURE)
    (root / "autumn" / ".thumbnails" / "a.jpg").write_bytes(PICTURE)
    (root / "notes.txt").write_text("no picture")
    return root


@pytest.fixture
def batch(server, capsys, monkeypatch):
    monkeypatch.setenv("IMAGE2POEM_TARGET", server.target)

    def batch(*arguments):
        return main(["batch", *map(str, arguments)]), *capsys.readouterr()

    return batch


def poems(text):
    return {value["picture"]: value for value in map(json.loads, text.splitlines())}


def test_each_picture_of_a_folder_gets_its_poem(batch, folder, tmp_path):
    status, out, err = batch(folder, "--seed", "5", "--form", "wujue", "--jobs", "3")
    found = poems(out)
    assert status == 0
    assert sorted(found) == sorted(
        str(folder / name) for name in ("a.jpg", "autumn/d.webp", "b.JPEG", "c.png", "e.gif")
    )
    for value in found.values():
        assert [len(line) for line in value["poem"]] == [5] * 4
        assert (value["form"], value["seed"], len(value["keywords"])) == ("wujue", 5, 8)
    assert err.startswith("5 written; ")


def test_a_later_run_goes_on_where_the_first_stopped(batch, folder, tmp_path):
    out = tmp_path / "poems.jsonl"
    assert batch(folder / "a.jpg", folder / "c.png", folder / "a.jpg", "--out", out)[0] == 0
    first = out.read_bytes()
    # What a run leaves that was killed while it wrote.
    out.write_bytes(first + b'{"picture": "unfin')
    status, printed, err = batch(folder, "--out", out)
    assert (status, printed) == (0, "")
    assert err.startswith("3 written, 2 there already; ")
    assert out.read_bytes().startswith(first)
    assert (
        len(poems(out.read_text(encoding="utf-8"))) == len(out.read_text(encoding="utf-8").splitlines()) == 5
    )
    assert batch(folder, "--out", out)[2].startswith("0 written, 5 there already; ")


def test_failures_are_named_and_the_others_go_on(batch, folder, tmp_path):
    (folder / "broken.jpg").write_bytes(BROKEN_PICTURE)
    out = tmp_path / "poems.jsonl"
    status, _, err = batch(folder, "--out", out)
    assert status == 1
    failed, closing = err.splitlines()
    assert failed.startswith(f"failed {folder / 'broken.jpg'}: ")
    assert "image" in failed
    assert closing.startswith("5 written, 1 failed; ")
    assert len(poems(out.read_text(encoding="utf-8"))) == 5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["EMPTY"], "No picture in the folder"),
        (["FOLDER", "--out", "WRONG"], "line 1 is no poem of a batch"),
        (["FOLDER", "--out", "EMPTY"], "Is a directory"),
        (["FOLDER", "--target", "127.0.0.1:1", "--retries", "0"], "no server answers at 127.0.0.1:1"),
    ],
    ids=str,
)
def test_what_cannot_begin_is_one_line(batch, folder, tmp_path, arguments, word):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong").write_text("my letters\n")
    places = {"FOLDER": folder, "EMPTY": tmp_path / "empty", "WRONG": tmp_path / "wrong"}
    status, out, err = batch(*(places.get(part, part) for part in arguments))
    assert (status, out) == (1, "")
    assert word in err.splitlines()[-1]
    assert (tmp_path / "wrong").read_text() == "my letters\n"


def test_no_more_at_once_than_it_is_told(serve, folder, capsys):
    class Counting(FakePoet):
        running = most = 0

        def compose(self, *arguments, **options):
            Counting.running += 1
            Counting.most = max(Counting.most, Counting.running)
            yield from super().compose(*arguments, **options)
            Counting.running -= 1

    server = serve(poets={"t5": Counting()}, workers=4, waiting=8)
    assert main(["batch", str(folder), "--jobs", "2", "--target", server.target]) == 0
    assert 1 <= Counting.most <= 2


def test_a_busy_server_is_waited_for(serve, folder, capsys):
    server = serve(poets={"t5": FakePoet()}, workers=1, waiting=0)
    status = main(["batch", str(folder), "--jobs", "5", "--retries", "0", "--target", server.target])
    assert (status, len(capsys.readouterr().out.splitlines())) == (0, 5)


def test_ctrl_c_keeps_what_is_written_and_frees_the_places(serve, folder, tmp_path):
    poet = GatedPoet()
    poet.let(20)
    running = serve(poets={"t5": poet})
    out = tmp_path / "poems.jsonl"
    poet.let(28 + 3)
    process = spawn("batch", str(folder), "--jobs", "1", "--out", str(out), "--target", running.target)
    try:
        for _ in range(20 + 28 + 4):
            assert poet.waiting.acquire(timeout=20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == -signal.SIGINT
        assert "1 written, 4 left; " in err.decode()
        assert "Traceback" not in err.decode()
        assert len(poems(out.read_text(encoding="utf-8"))) == 1
        assert eventually(poet.stopped)
    finally:
        poet.let(1000)
    assert eventually(lambda: running.app.poems.admission.in_use == 0)


def test_a_path_that_is_no_utf8_is_found_again(batch, folder, tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    try:
        (folder / name).write_bytes(PICTURE)
    except OSError:
        pytest.skip("this file system has no such names")
    out = tmp_path / "poems.jsonl"
    assert batch(folder / name, "--out", out)[0] == 0
    assert batch(folder / name, "--out", out)[2].startswith("0 written, 1 there already; ")
