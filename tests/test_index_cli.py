"""The command line of the index builder: its four commands, exit statuses, one-line errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from index_builder import artifact
from index_builder.__main__ import main
from models.bundle import open_bundle, write_bundle
from models.clip import Encoder

TABLE = (
    "word\tcount\tcategory\tvisual\n明月\t9\tsky\t1\n相思\t7\tmood\t0\n孤舟\t5\tobject\t1\n明月\t1\tsky\t1\n"
)
FACTS = {
    "kind": "encoder",
    "name": "tiny",
    "dimension": 4,
    "tokenizer": {
        "type": "longest_match",
        "vocabulary": "vocabulary.txt",
        "variants": "variants.txt",
        "limit": 32,
    },
    "image": {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "views": ["squash"]},
}


def _save(nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[Any]]], path: Path) -> None:
    """A graph of these nodes that ends in `vectors`, unit rows; it has one table of eight rows of four."""
    table = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    constants: dict[str, np.ndarray] = {"table": table, "last": np.array([2]), "middle": np.array([1])}
    nodes = [*nodes, helper.make_node("LpNormalization", ["summed"], ["vectors"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _save_text_tower(path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["summed"], keepdims=0),
    ]
    shape = (TensorProto.INT64, ["n", "t"])
    _save(nodes, {"ids": shape, "mask": shape}, path)


def _save_image_tower(path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["pooled"], axes=[3], keepdims=0),
        helper.make_node("ReduceMean", ["pooled"], ["channels"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["channels", "table"], ["summed"]),
    ]
    _save(nodes, {"pixels": (TensorProto.FLOAT, ["n", 3, 8, 8])}, path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real encoder bundle of a few numbers."""
    folder = tmp_path_factory.mktemp("towers")
    _save_text_tower(folder / "text.onnx")
    _save_image_tower(folder / "image.onnx")
    (folder / "vocabulary.txt").write_text("某\n明\n月\n明月\n相思\n孤\n舟\n秋\n", encoding="utf-8")
    (folder / "variants.txt").write_text("憐怜\n", encoding="utf-8")
    files = {entry.name: entry for entry in folder.iterdir()}
    return write_bundle(folder / "tiny", FACTS, files).path


@pytest.fixture
def here(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `list.tsv` and the encoder bundle `tiny`."""
    monkeypatch.chdir(tmp_path)
    Path("list.tsv").write_text(TABLE, encoding="utf-8")
    Path("tiny").symlink_to(tiny)
    return tmp_path


def build(*more: str) -> int:
    return main(["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "index", *more])


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
        (["build", "--keywords", "no.txt", "--encoder", "tiny", "--out", "index"], "cannot read the list"),
        (
            ["build", "--keywords", "list.tsv", "--encoder", "no", "--out", "index"],
            "cannot read manifest.json",
        ),
        (["build", "--keywords", "list.tsv", "--encoder", "tiny", "--out", "list.tsv"], "File exists"),
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
