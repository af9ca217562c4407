"""Eight bits are taken where the bundle has them and the processor adds them up, and change little."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models import precision
from models.bundle import Bundle, open_bundle, write_bundle
from models.clip import Encoder
from models.poet import Poet
from models.precision import exact_products, graph_of
from server import loading
from server.config import Config

ROOT = Path(__file__).resolve().parent.parent
LITE = ROOT / "models" / "bundles" / "lite"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    files = {name: tmp_path / name for name in ("both.onnx", "both.int8.onnx", "one.onnx")}
    for file in files.values():
        file.write_bytes(b"")
    return write_bundle(tmp_path / "bundle", {"kind": "poet", "name": "two"}, files)


@pytest.mark.parametrize(
    ("name", "provider", "int8", "exact", "chosen"),
    [
        ("both", "cpu", True, True, "both.int8.onnx"),
        ("both", "cpu", True, False, "both.onnx"),
        ("both", "cpu", False, True, "both.onnx"),
        ("both", "cuda", True, True, "both.onnx"),
        ("one", "cpu", True, True, "one.onnx"),
    ],
)
def test_eight_bits_are_taken_where_they_can_be(
    monkeypatch: pytest.MonkeyPatch,
    bundle: Bundle,
    name: str,
    provider: str,
    int8: bool,
    exact: bool,
    chosen: str,
) -> None:
    monkeypatch.setattr(precision, "exact_products", lambda: exact)
    assert graph_of(bundle, name, provider=provider, int8=int8).name == chosen


def test_a_processor_that_loses_products_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturating:
        """Adds two products in 16 bits, as vpmaddubsw does."""

        def run(self, _: object, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            pairs = 2 * feeds["x"].astype(np.int64) * 127
            return [np.minimum(pairs[:, ::2], 32_767).sum(axis=1, keepdims=True)]

    monkeypatch.setattr(precision, "open_graph", lambda _: Saturating())
    assert not exact_products.__wrapped__()


def test_this_processor_is_tried_out() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or "vnni" not in flags.read_text(encoding="utf-8"):
        pytest.skip("not known whether this processor has VNNI")
    assert exact_products()


@pytest.mark.parametrize(("options", "int8"), [({}, True), ({"int8": False}, False)])
def test_the_server_takes_them_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], int8: bool
) -> None:
    asked: list[bool] = []

    def opened(_: object, **wishes: Any) -> SimpleNamespace:
        asked.append(wishes["int8"])
        return SimpleNamespace(fingerprint="0")

    monkeypatch.setattr(Encoder, "open", opened)
    monkeypatch.setattr(Poet, "open", opened)
    monkeypatch.setattr(loading, "load_published", lambda *_, **__: None)
    loading.load_snapshot(Config(**options))
    # The encoder and two poets.
    assert asked == [int8] * 3


@pytest.mark.parametrize("picture", ["pavilion.jpg", "flower.jpg"])
def test_the_shipped_pictures_in_eight_bits_are_near_those_in_fp32(picture: str) -> None:
    data = [(ROOT / "docs" / "pictures" / picture).read_bytes()]
    opened = open_bundle(LITE, kind="encoder")
    one, other = (Encoder.open(opened, int8=int8).encode_pictures(data)[0] for int8 in (True, False))
    assert 0.995 < float(one @ other) < 0.999_999 or not exact_products()
