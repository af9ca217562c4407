"""The development set and how answers to it are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.lite import concepts, evaluate


class Echo:
    """Every picture is the first keyword."""

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.eye(len(texts), dtype=np.float32)

    def encode_pictures(self, pictures: list[bytes]) -> np.ndarray:
        return np.linspace(1, 0, 10, dtype=np.float32)[None].repeat(len(pictures), axis=0)


def test_devset_is_well_formed() -> None:
    photographs = evaluate.read_devset()
    assert len(photographs) >= 170
    assert len(evaluate.read_devset(parts=["final"])) == 74
    photographs = evaluate.read_devset(parts=evaluate.PARTS)
    assert len({photograph.name for photograph in photographs}) == len(photographs)
    assert all(photograph.labels for photograph in photographs)


@pytest.mark.parametrize(
    ("keyword", "right"),
    [("扁舟", True), ("舟", True), ("画", True), ("画栏", False), ("孤城", False)],
)
def test_is_right(keyword: str, right: bool) -> None:
    assert evaluate.is_right(keyword, ["舟", "=画"]) is right


def test_answers_and_summary(tmp_path: Path) -> None:
    photograph = evaluate.read_devset()[0]
    (tmp_path / photograph.name).write_bytes(b"")
    keywords = [photograph.labels[0], *"甲乙丙丁戊己庚辛壬"]
    (answer,) = evaluate.answers(Echo(), keywords, tmp_path, diversity=0)
    assert answer.keywords == tuple(keywords[:8])
    assert answer.right == (True, *[False] * 7)
    assert evaluate.summary([answer]) == {
        "pictures": 1,
        "precision_at_8": 0.125,
        "any_right": 1.0,
        "right_things": 1.0,
    }


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("青山 千峰 群山", 1),
        ("青山 碧水 山下", 2),
        ("楼殿 碧空 湖水 绿树", 4),
        ("轻舟 孤舟 鳌头 白头", 2),
        ("", 0),
    ],
)
def test_things(words: str, count: int) -> None:
    assert concepts.things(words.split(), concepts.read_concepts()) == count


def test_only_visual_keywords_are_read(tmp_path: Path) -> None:
    path = tmp_path / "keywords.tsv"
    path.write_text("word\tcount\tcategory\tvisual\n舟\t9\tobject\t1\n愁\t9\t\t0\n", encoding="utf-8")
    assert evaluate.read_visual_keywords(path) == ["舟"]
