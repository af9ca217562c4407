"""Building: batches, determinism, the manifest, recall, encoders that misbehave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_encoder import FakeEncoder, vector_of
from index_builder import artifact, build
from index_builder.build import BuildStopped, EmbeddingOptions, IndexKind, InvalidEmbedding, build_version
from index_builder.keywords import KeywordList


def numeral(number: int) -> str:
    """Three Chinese figures."""
    return "".join("零一二三四五六七八九"[int(figure)] for figure in f"{number:03}")


WORDS = tuple(map(numeral, range(25)))
LIST = KeywordList(words=WORDS, dropped={"duplicate": 2}, source="list.txt", sha256="ab" * 32)


class _Broken(FakeEncoder):
    """Spoils what the fake would give."""

    def __init__(self, spoil: object) -> None:
        super().__init__()
        self.spoil = spoil

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.spoil(super().encode_texts(texts))  # type: ignore[operator,no-any-return]


def test_the_manifest_says_how_the_index_was_made(tmp_path: Path) -> None:
    version = build_version(LIST, FakeEncoder(), root=tmp_path, batch=10)
    manifest = artifact.verify(tmp_path, version)
    assert manifest["encoder"] == {"name": "fake", "fingerprint": FakeEncoder().fingerprint}
    assert (manifest["count"], manifest["dimension"], manifest["metric"]) == (25, 16, "inner_product")
    assert manifest["index"] == {"kind": "flat", "parameters": {}}
    assert manifest["embedding"] == {"batch": 10, "repeats": 1, "templates": ["{}"], "correction": 0.0}
    assert manifest["recall"]["value"] == 1.0
    assert manifest["recall"]["k"] == 10
    assert manifest["source"] == {"name": "list.txt", "sha256": "ab" * 32}
    assert manifest["dropped"] == {"duplicate": 2}
    assert manifest["parent"] is None
    assert set(manifest["files"]) == {"keywords.txt", "vectors.npy", "index.faiss"}


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    first, second = (build_version(LIST, FakeEncoder(), root=tmp_path, batch=10) for _ in range(2))
    assert first < second
    one, two = (artifact.read_version(tmp_path, version) for version in (first, second))
    assert one["files"] == two["files"]
    assert {name for name in one if one[name] != two[name]} == {"created"}


def test_the_files_are_open_formats(tmp_path: Path) -> None:
    folder = tmp_path / "versions" / build_version(LIST, FakeEncoder(), root=tmp_path)
    assert (folder / "keywords.txt").read_text("utf-8").splitlines() == list(WORDS)
    np.testing.assert_array_equal(np.load(folder / "vectors.npy"), FakeEncoder().encode_texts(WORDS))
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["kind"] == "index"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[:, :-1],
        lambda rows: rows.astype(np.float64),
        lambda rows: rows * 2,
        lambda rows: rows * 0,
        lambda rows: rows * np.nan,
    ],
)
def test_an_encoder_that_gives_no_unit_rows_ends_the_build(tmp_path: Path, spoil: object) -> None:
    with pytest.raises(InvalidEmbedding):
        build_version(LIST, _Broken(spoil), root=tmp_path)
    assert artifact.list_versions(tmp_path) == []


def test_one_keyword_is_an_index_too(tmp_path: Path) -> None:
    words = KeywordList(words=("月",), dropped={}, source="list.txt", sha256="")
    version = build_version(words, FakeEncoder(), root=tmp_path)
    assert artifact.verify(tmp_path, version)["recall"]["k"] == 1
    found = artifact.open_version(tmp_path, version).nearest(FakeEncoder().encode_texts(["月"])[0], 8)
    assert [item.text for item in found] == ["月"]


def test_a_report_that_raises_ends_the_build_and_leaves_no_version(tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_version(LIST, FakeEncoder(), root=tmp_path, report=cancel)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("asked", range(6))
def test_a_build_that_is_told_to_stop_stops_and_the_next_resumes(tmp_path: Path, asked: int) -> None:
    questions = iter(range(1000))
    with pytest.raises(BuildStopped):
        build_version(LIST, FakeEncoder(), root=tmp_path, batch=5, stopped=lambda: next(questions) >= asked)
    assert artifact.list_versions(tmp_path) == []
    encoder = FakeEncoder()
    build_version(LIST, encoder, root=tmp_path, batch=5)
    # Five batches of probes and five of words; each question but the first was asked after a batch.
    assert len(encoder.batches) == 5 + 5 - asked


def test_progress_counts_words(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_version(
        LIST, FakeEncoder(), root=tmp_path, batch=10, report=lambda done, total: seen.append((done, total))
    )
    assert seen == [(0, 25), (10, 25), (20, 25), (25, 25)]
    seen.clear()
    build_version(
        LIST, FakeEncoder(), root=tmp_path, batch=10, report=lambda done, total: seen.append((done, total))
    )
    assert seen == [(25, 25)]


@pytest.mark.parametrize(
    "options",
    [
        {"templates": ()},
        {"templates": ("{}", "{}")},
        {"templates": ("山",)},
        {"templates": ("{}{}",)},
        {"correction": 1.5},
        {"correction": float("nan")},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"template|correction"):
        EmbeddingOptions(**options)


def test_templates_are_averaged_and_named(tmp_path: Path) -> None:
    templates = ("{}", "一幅有{}的画", "{}图")
    version = build_version(
        LIST, FakeEncoder(), root=tmp_path, embedding=EmbeddingOptions(templates=templates)
    )
    assert artifact.verify(tmp_path, version)["embedding"]["templates"] == list(templates)
    total = sum(FakeEncoder().encode_texts([t.replace("{}", word) for word in WORDS]) for t in templates)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(
        artifact.open_version(tmp_path, version).vectors(range(25)), expected, atol=1e-6
    )


@pytest.mark.parametrize("reference", [None, vector_of(b"mean picture", 16) * np.float32(0.7)])
def test_the_correction_takes_the_mean_similarity_off_each_score(
    tmp_path: Path, reference: np.ndarray | None
) -> None:
    options = EmbeddingOptions(correction=0.5, reference=reference)
    version = build_version(LIST, FakeEncoder(), root=tmp_path, embedding=options)
    rows = FakeEncoder().encode_texts(WORDS)
    mean = rows.mean(axis=0) if reference is None else reference
    query = vector_of(b"picture", 16)
    scores, ids = artifact.open_version(tmp_path, version).search(query[np.newaxis], 25)
    np.testing.assert_allclose(scores[0], (rows @ query - 0.5 * rows @ mean)[ids[0]], atol=1e-6)
    assert (np.diff(scores[0]) <= 0).all()
    described = artifact.read_version(tmp_path, version)["embedding"]
    assert described["reference"] == ("keywords" if reference is None else "pictures")


@pytest.mark.parametrize("kind", ["flat", "sq8", "hnsw"])
def test_weights_multiply_scores(tmp_path: Path, kind: str) -> None:
    weights = tuple(2.0 if place == 7 else 1.0 for place in range(25))
    words = KeywordList(words=WORDS, dropped={}, source="list.csv", sha256="", weights=weights)
    version = build_version(words, FakeEncoder(), root=tmp_path, kind=IndexKind(kind=kind))
    index = artifact.open_version(tmp_path, version)
    rows = FakeEncoder().encode_texts(WORDS)
    query = vector_of(b"picture", 16)
    scores, ids = index.search(query[np.newaxis], 25)
    expected = (rows @ query) * np.array(weights)
    np.testing.assert_allclose(scores[0], expected[ids[0]], atol=2e-2 if kind == "hnsw" else 1e-6)
    assert ids[0][0] == np.argmax(expected)
    np.testing.assert_allclose(index.vectors([7]), rows[[7]], atol=1e-6)
    artifact.verify(tmp_path, version)


@pytest.mark.parametrize("kind", ["flat", "sq8", "ivf_flat", "ivf_pq"])
def test_every_kind_but_hnsw_is_the_same_each_time(tmp_path: Path, kind: str) -> None:
    words = KeywordList(
        words=tuple(map(numeral, range(600))),
        dropped={},
        source="",
        sha256="",
    )
    made = [
        build_version(words, FakeEncoder(), root=tmp_path / str(time), kind=IndexKind(kind=kind))
        for time in range(2)
    ]
    one, two = (artifact.verify(tmp_path / str(time), version) for time, version in enumerate(made))
    assert one["files"] == two["files"]
    assert one["recall"] == two["recall"]


def test_large_lists_are_embedded_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = artifact.read_version(tmp_path / "a", build_version(LIST, FakeEncoder(), root=tmp_path / "a"))
    monkeypatch.setattr(build, "_MAP_FROM_BYTES", 0)
    large = artifact.verify(tmp_path / "b", build_version(LIST, FakeEncoder(), root=tmp_path / "b"))
    assert small["files"] == large["files"]
    assert [entry.name for entry in (tmp_path / "b" / "versions").iterdir()] == artifact.list_versions(
        tmp_path / "b"
    )
