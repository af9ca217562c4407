"""The image tower in eight bits: half the time of a picture.

Convolutions take the ranges of activations that the part `train` of the labelled pictures gave; what follows
the pooled features stays as it is. Choosing was done on the part `develop`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from models.bundle import Bundle, with_facts, write_bundle
from models.clip import Encoder
from models.precision import INT8
from models.training import onnx_file
from models.training.chinese_clip.quantisation import quantise_statically
from models.training.lite import evaluate
from models.training.lite.pictures import pixels_of

IMAGE_INT8 = "image" + INT8
_OPERATORS = ("Conv", "Clip", "Add")


def with_int8(bundle: Bundle, folder: Path, words: list[str], out: Path) -> Bundle:
    """Write a bundle with an image tower in eight bits beside its own, and what that one finds.

    `folder` has the labelled pictures; `words` are the keywords to find. Raises SystemExit where pictures of
    the part `train` are missing.
    """
    calibrating = [folder / photograph.name for photograph in evaluate.read_devset(parts=("train",))]
    missing = [file.name for file in calibrating if not file.exists()]
    if missing:
        raise SystemExit(f"{folder}: {len(missing)} pictures are missing, {missing[0]} for one")
    with tempfile.TemporaryDirectory() as scratch:
        tower = Path(scratch) / IMAGE_INT8
        pixels = [pixels_of(file) for file in calibrating]
        quantise_statically(bundle.file("image.onnx"), tower, pixels, operators=_OPERATORS)
        onnx_file.save(onnx.load(tower), tower)
        rounded = write_bundle(Path(scratch) / "bundle", bundle.manifest, bundle.files | {IMAGE_INT8: tower})
        figures = {"calibrated_on": len(calibrating), **_figures(rounded, folder, words)}
        return with_facts(rounded, out, {"int8": figures})


def _figures(bundle: Bundle, folder: Path, words: list[str]) -> dict[str, Any]:
    """What both towers find in the part `final`, and how near their vectors are."""
    shown = [
        photograph
        for photograph in evaluate.read_devset(parts=("final",))
        if (folder / photograph.name).exists()
    ]
    sides = {name: Encoder.open(bundle, int8=name == "int8") for name in ("fp32", "int8")}
    texts = sides["fp32"].encode_texts(words)
    vectors = {
        name: np.concatenate(
            [side.encode_pictures([(folder / photograph.name).read_bytes()]) for photograph in shown]
        )
        for name, side in sides.items()
    }
    found = {
        name: evaluate.summary(
            [
                evaluate.answer(photograph, words, texts, row)
                for photograph, row in zip(shown, rows, strict=True)
            ]
        )
        for name, rows in vectors.items()
    }
    cosines = np.vecdot(*vectors.values())
    return {"cosine": round(float(cosines.mean()), 5), "lowest": round(float(cosines.min()), 5), **found}
