"""The image tower in eight bits: half the time of a picture.

Convolutions take the ranges of activations that the part `train` of the labelled pictures gave; what follows
the pooled features stays as it is. Choosing was done on the part `develop`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, write_bundle
from models.clip import Encoder
from models.image import decode_image, to_pixels
from models.precision import INT8
from models.training import onnx_file
from models.training.chinese_clip.quantisation import quantise_statically
from models.training.lite import evaluate, export
from models.training.lite.pictures import spec

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
        files = {name: bundle.file(name) for name in bundle.manifest["files"]}
        files[IMAGE_INT8] = Path(scratch) / IMAGE_INT8
        quantise_statically(
            bundle.file("image.onnx"),
            files[IMAGE_INT8],
            [_pixels(file) for file in calibrating],
            operators=_OPERATORS,
        )
        onnx_file.shrink(files[IMAGE_INT8])
        facts = {
            key: value for key, value in bundle.manifest.items() if key not in ("format_version", "files")
        }
        rounded = write_bundle(Path(scratch) / "bundle", facts, files)
        facts["int8"] = {"calibrated_on": len(calibrating), **_figures(bundle, rounded, folder, words)}
        return write_bundle(out, facts, files)


def _pixels(file: Path) -> np.ndarray:
    return to_pixels(decode_image(file.read_bytes(), draft=export.SIZE), spec())


def _figures(exact: Bundle, rounded: Bundle, folder: Path, words: list[str]) -> dict[str, Any]:
    """What both find in the part `final`, and how near their vectors are."""
    files = [folder / photograph.name for photograph in evaluate.read_devset(parts=("final",))]
    pictures = [file.read_bytes() for file in files if file.exists()]
    sides = {"fp32": Encoder.open(exact, int8=False), "int8": Encoder.open(rounded)}
    vectors = [np.concatenate([side.encode_pictures([one]) for one in pictures]) for side in sides.values()]
    cosines = np.sum(vectors[0] * vectors[1], axis=1)
    found = {
        name: evaluate.summary(evaluate.answers(side, words, folder, parts=("final",)))
        for name, side in sides.items()
    }
    return {"cosine": round(float(cosines.mean()), 5), "lowest": round(float(cosines.min()), 5), **found}
