"""Building: batches, determinism, the manifest, recall, encoders that misbehave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact
from index_builder.build import (
    IndexKind,
    InvalidEmbedding,
    build_version,
    choose_kind,
    embed,
    make_index,
    measure_recall,
)
from index_builder.keywords import KeywordList

WORDS = tuple(f"山{number}" for number in range(25))
LIST = KeywordList(words=WORDS, dropped={"duplicate": 2}, source="list.txt", sha256="ab" * 32)


class _Broken(FakeEncoder):
    """Spoils what the fake would give."""

    def __init__(self, spoil: object) -> None:
        super().__init__()
        self.spoil = spoil

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.spoil(super().encode_texts(texts))  # type: ignore[operator,no-any-return]


def test_words_go_through_in_batches_and_progress_is_reported() -> None:
    encoder, seen = FakeEncoder(), []
    vectors = embed(WORDS, encoder, batch=10, report=lambda done, total: seen.append((done, total)))
    assert encoder.batches == [10, 10, 5]
    assert seen == [(10, 25), (20, 25), (25, 25)]
    assert (vectors.shape, vectors.dtype.name) == ((25, 16), "float32")
    np.testing.assert_array_equal(vectors, FakeEncoder().encode_texts(WORDS))


def test_the_manifest_says_how_the_index_was_made(tmp_path: Path) -> None:
    version = build_version(LIST, FakeEncoder(), root=tmp_path, batch=10)
    manifest = artifact.verify(tmp_path, version)
    assert manifest["encoder"] == {"name": "fake", "fingerprint": FakeEncoder().fingerprint}
    assert (manifest["count"], manifest["dimension"], manifest["metric"]) == (25, 16, "inner_product")
    assert manifest["index"] == {"kind": "flat", "parameters": {}}
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


def test_recall_counts_what_an_index_misses() -> None:
    vectors = FakeEncoder().encode_texts([f"词{number}" for number in range(400)])
    exact = make_index(vectors, choose_kind(len(vectors)))
    assert measure_recall(exact, vectors).value == 1.0
    poor = make_index(np.ascontiguousarray(vectors[:200]), choose_kind(200))  # knows the first half only
    assert 0.3 < measure_recall(poor, vectors).value < 0.7


def test_keywords_that_tie_do_not_lower_recall() -> None:
    vectors = np.repeat(FakeEncoder().encode_texts(["山", "水", "月"]), 20, axis=0)
    assert measure_recall(make_index(vectors, choose_kind(60)), vectors).value == 1.0


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown index kind"):
        make_index(np.eye(2, dtype=np.float32), IndexKind(kind="cube"))


def test_a_report_that_raises_ends_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_version(LIST, FakeEncoder(), root=tmp_path, report=cancel)
    assert list(tmp_path.iterdir()) == []
