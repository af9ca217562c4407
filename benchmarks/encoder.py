"""The encoder alone."""

from __future__ import annotations

from benchmarks.process import ROOT, jpeg
from benchmarks.result import Benchmark, Result, describe, timed, within
from models.bundle import open_bundle
from models.clip import Encoder


def picture_encode() -> Result:
    """A 1280×800 JPEG to a unit vector, decoding and resizing included."""
    encoder = Encoder.open(open_bundle(ROOT / "models" / "bundles" / "lite", kind="encoder"))
    picture = jpeg(1280, 800)
    times = timed(lambda: encoder.encode_pictures([picture]), repeat=40)
    return within(describe("picture to vector", times), "ms", limit=60.0)


BENCHMARKS: dict[str, Benchmark] = {"picture-encode": picture_encode}
