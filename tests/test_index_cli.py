"""The command line of the index builder: its commands, exit statuses, one-line errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from index_builder import artifact
from index_builder.__main__ import main
from models.bundle import open_bundle
from models.clip import Encoder
from tiny_encoder import write_tiny

TABLE = (
    "word\tcount\tcategory\tvisual\n明月\t9\tsky\t1\n相思\t7\tmood\t0\n孤舟\t5\tobject\t1\n明月\t1\tsky\t1\n"
)
BUILD = ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real encoder bundle of a few numbers."""
    return write_tiny(tmp_path_factory.mktemp("towers"))


@pytest.fixture
def here(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `list.tsv` and the encoder bundle `tiny`."""
    monkeypatch.chdir(tmp_path)
    Path("list.tsv").write_text(TABLE, encoding="utf-8")
    Path("tiny").symlink_to(tiny)
    return tmp_path


def build(*more: str) -> int:
    return main([*BUILD, *more])


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that failed."""
    captured = capsys.readouterr()
    assert captured.out == ""
    line, end, rest = captured.err.partition("\n")
    assert (end, rest) == ("\n", "")
    assert line.startswith("index_builder: ")
    return line


def test_build_publishes_and_says_what_it_did(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--publish") == 0
    captured = capsys.readouterr()
    assert "list.tsv: 2 keywords; dropped: duplicate 1, not_visual 1" in captured.out
    assert "recall@2 1.0" in captured.out
    assert ", published" in captured.out
    assert captured.err == "embedded 2 of 2\n"
    assert artifact.published_version(here / "index") in captured.out


def test_what_was_built_answers_the_encoder_that_built_it(here: Path) -> None:
    assert build("--publish", "--all-words") == 0
    encoder = Encoder.open(open_bundle("tiny", kind="encoder"))
    index = artifact.open_published(here / "index", encoder_fingerprint=encoder.fingerprint)
    for word in ("明月", "相思", "孤舟"):
        assert index.nearest(encoder.encode_texts([word])[0], 1)[0].text == word


def test_build_prints_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--json", "--all-words", "--batch", "1") == 0
    (built,) = printed(capsys)
    assert (built["count"], built["published"], built["encoder"]["name"]) == (3, False, "tiny")
    assert built["version"] == artifact.list_versions(here / "index")[0]


def test_publish_takes_the_latest_or_the_one_that_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build() == build() == 0
    first, latest = artifact.list_versions(here / "index")
    assert main(["publish", "--index", "index"]) == 0
    assert artifact.published_version(here / "index") == latest
    capsys.readouterr()
    assert main(["publish", "--out", "index", "--json", first]) == 0
    assert printed(capsys) == [{"version": first, "published": True}]
    assert artifact.published_version(here / "index") == first


def test_list_marks_the_published_version_and_the_corrupt_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--publish") == build() == 0
    first, second = artifact.list_versions(here / "index")
    (here / "index" / "versions" / second / "vectors.npy").write_bytes(b"")
    capsys.readouterr()
    assert main(["list", "--index", "index"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"* {first} 2 keywords, flat, encoder tiny, recall 1.0"
    assert lines[1].startswith(f"  {second} corrupt: ")
    assert main(["list", "--out", "index", "--json"]) == 0
    assert [row["published"] for row in printed(capsys)] == [True, False]


def test_a_list_that_grows_is_compared_rolled_back_and_collected(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--publish") == 0
    (here / "list.tsv").write_text("word\n秋舟\n孤舟\n明秋\n", encoding="utf-8")
    assert build("--publish") == build("--publish") == 0
    first, second, third = artifact.list_versions(here / "index")
    capsys.readouterr()
    assert main(["diff", "--index", "index", first]) == 0
    assert capsys.readouterr().out.splitlines() == ["2 added, 1 removed", "-明月", "+秋舟", "+明秋"]
    assert main(["diff", "--index", "index", second, third, "--json"]) == 0
    assert printed(capsys) == [{"old": second, "new": third, "added": [], "removed": []}]
    assert main(["rollback", "--index", "index"]) == 0
    assert capsys.readouterr().out == f"{second} is published again\n"
    assert main(["rollback", "--index", "index", "--json"]) == 0
    assert printed(capsys) == [{"version": first, "published": True}]
    assert main(["gc", "--index", "index", "--keep", "1"]) == 0
    assert capsys.readouterr().out == f"removed {second}\n"
    assert main(["gc", "--index", "index"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    assert artifact.published_version(here / "index") == first


def test_dropped_lines_can_be_listed_without_a_build(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "stop.txt").write_text("孤舟\n", encoding="utf-8")
    arguments = ["keywords", "--keywords", "list.tsv", "--stop-list", "stop.txt", "--dropped", "out.tsv"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out == "list.tsv: 1 keywords; dropped: duplicate 1, not_visual 1, stopped 1\n"
    assert (here / "out.tsv").read_text("utf-8").splitlines() == [
        "line\treason\ttext",
        "3\tnot_visual\t相思",
        "4\tstopped\t孤舟",
        "5\tduplicate\t明月",
    ]
    assert main([*arguments, "--json", "--all-words"]) == 0
    assert printed(capsys)[0]["keywords"] == 2


def test_kind_templates_and_processes_reach_the_manifest(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "templates.txt").write_text("{}\n\n明{}\n", encoding="utf-8")
    more = ["--kind", "hnsw", "--set", "links=8", "--templates", "templates.txt", "--correction", "0.5"]
    assert build("--json", *more, "--processes", "2", "--no-cache") == 0
    (built,) = printed(capsys)
    assert built["index"]["kind"] == "hnsw"
    assert built["index"]["parameters"]["links"] == 8
    assert built["embedding"]["templates"] == ["{}", "明{}"]
    assert built["embedding"]["correction"] == 0.5
    assert not (here / "index" / "cache").exists()


def test_too_low_a_recall_is_built_and_not_published(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--publish", "--min-recall", "1.01") == 1
    assert "recall 1.0 is below 1.01" in capsys.readouterr().err
    (version,) = artifact.list_versions(here / "index")
    assert main(["publish", "--index", "index", "--min-recall", "1.01"]) == 1
    assert artifact.publications(here / "index") == []
    assert main(["publish", "--index", "index", version]) == 0


def test_a_version_goes_into_milvus(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("milvus_lite")
    assert build("--publish") == 0
    capsys.readouterr()
    assert main(["milvus", "--index", "index", "--uri", "milvus.db", "--json"]) == 0
    (row,) = printed(capsys)
    assert row["version"] == artifact.published_version(here / "index")
    assert row["collection"] == f"keywords_{row['version'].replace('-', '_')}"


def test_list_of_an_empty_folder_is_empty(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--index", "index"]) == 0
    assert capsys.readouterr().out == ""


def test_verify_checks_all_versions_or_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--publish") == build() == 0
    first, second = artifact.list_versions(here / "index")
    capsys.readouterr()
    assert main(["verify", "--index", "index"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: whole, 2 keywords" for name in (first, second)]
    (here / "index" / "versions" / second / "vectors.npy").write_bytes(b"")
    assert main(["verify", "--index", "index", first, "--json"]) == 0
    assert printed(capsys) == [{"version": first, "ok": True, "count": 2}]
    assert main(["verify", "--index", "index", second]) == 1
    assert "vectors.npy has SHA-256" in failure(capsys)


def test_verify_looks_at_the_pointer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build("--publish") == 0
    (here / "index" / "CURRENT").write_text("nonsense\n")
    capsys.readouterr()
    assert main(["verify", "--index", "index"]) == 1
    assert "CURRENT holds no version name" in failure(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "--index", "index"], "no index versions here"),
        (["publish", "--index", "index", "20260101T000000Z-00000000"], "there is no version"),
        (["verify", "--index", "index"], "no index versions here"),
        (["rollback", "--index", "index"], "no version was published before"),
        (["diff", "--index", "index", "20260101T000000Z-00000000"], "no index is published"),
        (["milvus", "--index", "index", "--uri", "x.db"], "no index is published"),
        (["keywords", "--keywords", "no.txt"], "cannot read the list"),
        ([*BUILD, "--correction", "2"], "correction must be from 0 to 1"),
        ([*BUILD, "--templates", "list.tsv"], "a template must hold {} once"),
        ([*BUILD, "--templates", "no.txt"], "No such file"),
        ([*BUILD, "--kind", "hnsw", "--set", "probe=3"], "hnsw: cannot set 'probe' to 3"),
        ([*BUILD, "--correction", "0.5", "--reference", "."], "no pictures"),
        ([*BUILD, "--stop-list", "no.txt"], "no.txt: cannot read the list"),
        (["build", "--keywords", "no.txt", "--encoder", "tiny", "--out", "index"], "cannot read the list"),
        (
            ["build", "--keywords", "list.tsv", "--encoder", "no", "--out", "index"],
            "cannot read manifest.json",
        ),
        (["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "list.tsv"], "Not a directory"),
        (
            ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", "--provider", "cuda"],
            "CUDAExecutionProvider",
        ),
    ],
)
def test_a_failure_is_one_line_and_status_1(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert message in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err
    assert not (here / "index" / "CURRENT").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["prune"],
        ["diff", "--index", "index"],
        ["gc", "--index", "index", "--keep", "-1"],
        ["milvus", "--index", "index"],
        ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", "--kind", "cube"],
        ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", "--set", "probe"],
        ["build", "--keywords", "l", "--encoder", "tiny", "--out", "i", "--ensemble", "--templates", "t"],
        ["list"],
        ["build", "--out", "index"],
        ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", "--batch", "0"],
        ["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", "--provider", "tpu"],
    ],
)
def test_wrong_usage_has_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: python -m index_builder" in capsys.readouterr().err


def test_a_terminal_gets_a_progress_bar(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert build("--batch", "1") == 0
    captured = capsys.readouterr()
    assert "2/2" in captured.err
    assert "\r" in captured.err
    assert "2/2" not in captured.out


def test_an_interrupt_is_one_line_and_leaves_no_version(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Encoder, texts: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Encoder, "encode_texts", interrupt)
    assert build("--publish") == 1
    assert failure(capsys) == "index_builder: interrupted"
    assert artifact.list_versions(here / "index") == []
