"""The image tower of `lite` in eight bits, calibrated on pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.bundle import open_bundle
from models.precision import graph_of
from models.training.lite import evaluate
from models.training.lite.rounding import with_int8

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"


def test_a_tower_in_eight_bits_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("pavilion.jpg", "flower.jpg")
    shown = [evaluate.Photograph(package="docs", file=f"pictures/{name}", labels=("花",)) for name in names]
    monkeypatch.setattr(evaluate, "read_devset", lambda parts: shown)
    folder = tmp_path / "pictures"
    folder.mkdir()
    bundle = open_bundle(ROOT / "models" / "bundles" / "lite", kind="encoder")
    with pytest.raises(SystemExit, match=r"2 pictures are missing, docs__pictures__pavilion\.jpg for one"):
        with_int8(bundle, folder, ["花", "山"], tmp_path / "out")
    for name, photograph in zip(names, shown, strict=True):
        shutil.copy(PICTURES / name, folder / photograph.name)
    rounded = with_int8(bundle, folder, ["花", "山", "楼", "水", "月", "云", "树", "舟"], tmp_path / "out")
    figures = rounded.manifest["int8"]
    assert figures["calibrated_on"] == 2
    assert 0.98 < figures["lowest"] <= figures["cosine"] <= 1
    assert figures["fp32"]["pictures"] == figures["int8"]["pictures"] == 2
    tower = rounded.file("image.int8.onnx")
    assert tower.stat().st_size < 0.75 * rounded.file("image.onnx").stat().st_size
    assert rounded.file("text.onnx").read_bytes() == bundle.file("text.onnx").read_bytes()
    assert graph_of(rounded, "image", provider="cpu", int8=False).name == "image.onnx"
