"""Turn a Chinese-CLIP into an encoder bundle for ONNX Runtime, and prove that nothing changed.

    python -m models.training.export_clip --source OFA-Sys/chinese-clip-vit-base-patch16 --out BUNDLE
    python -m models.training.export_clip --source clip_cn_vit-b-16.pt --out BUNDLE --precision int8

SOURCE is a folder or a name of the Hugging Face hub, or a checkpoint (`.pt`) of the package cn-clip, whose
code is not needed. Both towers are compared with PyTorch before the bundle is written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, write_bundle
from models.image import ImageSpec, InvalidImage, decode_image, to_pixels
from models.training.chinese_clip.checkpoint import InvalidSource
from models.training.chinese_clip.export import OPSET, TOWERS, export_towers
from models.training.chinese_clip.model import ResNetClip, dimension_of
from models.training.chinese_clip.parity import check, measure
from models.training.chinese_clip.quantisation import quantise
from models.training.chinese_clip.sources import Source, open_source
from models.training.parity import ParityError

PRECISIONS = ("fp32", "fp16", "int8")
_LICENCE = "that of the source's weights"
_CALIBRATION_PICTURES = 64


def write_encoder(
    source: Source,
    out: Path,
    *,
    name: str,
    precision: str = "fp32",
    opset: int = OPSET,
    calibration: Sequence[np.ndarray] = (),
    facts: dict[str, Any] | None = None,
) -> Bundle:
    """Export both towers, hold them against PyTorch, and write their bundle.

    Args:
        precision: one of PRECISIONS.
        calibration: float32 (3, size, size) each, pictures that int8 of a ResNet needs.
        facts: further entries of the manifest.

    Raises ParityError where the towers disagree with the model, InvalidSource where calibration is missing or
    the opset cannot be had.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = _export(source, folder, precision=precision, opset=opset, calibration=calibration)
        figures = measure(source.model, files[TOWERS[0]].parent)
        check(figures, precision)
        vocabulary = folder / "vocab.txt"
        vocabulary.write_text("\n".join(source.vocabulary) + "\n", encoding="utf-8")
        manifest = {
            "kind": "encoder",
            "name": name,
            "architecture": "chinese-clip",
            "dimension": dimension_of(source.model),
            "image": dict(source.image),
            "tokenizer": dict(source.tokenizer),
            "precision": precision,
            "opset": opset,
            "parameters": sum(weight.numel() for weight in source.model.parameters()),
            "source": dict(source.origin),
            "licence": _LICENCE,
            "parity": figures,
            **(facts or {}),
        }
        return write_bundle(out, manifest, {**files, vocabulary.name: vocabulary})


def _export(
    source: Source, folder: Path, *, precision: str, opset: int, calibration: Sequence[np.ndarray]
) -> dict[str, Path]:
    resnet = isinstance(source.model, ResNetClip)
    if precision == "int8" and resnet and not calibration:
        raise InvalidSource("int8 of a ResNet is calibrated on pictures: give --calibration FOLDER")
    files = export_towers(source.model, folder, precision=precision, opset=opset)
    if precision != "int8":
        return files
    small = folder / "int8"
    small.mkdir()
    for name in TOWERS:
        static = resnet and name == "image.onnx"
        quantise(
            folder / name,
            small / name,
            pixels=calibration if static else (),
            external=f"{name}.data" in files,
        )
    return {found.name: found for found in sorted(small.iterdir())}


def calibration_pixels(folder: Path, spec: ImageSpec) -> list[np.ndarray]:
    """float32 (3, size, size) each: at most 64 pictures of a folder. Raises InvalidSource without any."""
    pixels: list[np.ndarray] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and len(pixels) < _CALIBRATION_PICTURES:
            try:
                pixels.append(to_pixels(decode_image(path.read_bytes(), draft=spec.size), spec))
            except InvalidImage:
                continue
    if not pixels:
        raise InvalidSource(f"{folder}: no pictures to calibrate on")
    return pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.export_clip",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", required=True, help="folder, name on the hub, or .pt of cn-clip")
    parser.add_argument("--out", type=Path, required=True, help="the bundle to write")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--opset", type=int, default=OPSET, help=f"of ONNX, {OPSET} or later")
    parser.add_argument("--name", help="the encoder's name; that of the source by default")
    parser.add_argument("--vocabulary", type=Path, help="vocab.txt, where the source has none")
    parser.add_argument("--calibration", type=Path, help="folder of pictures, for int8 of RN50")
    options = parser.parse_args()
    try:
        source = open_source(options.source, vocabulary=options.vocabulary)
        pixels: list[np.ndarray] = []
        if options.calibration:
            pixels = calibration_pixels(options.calibration, ImageSpec.from_manifest(source.image))
        bundle = write_encoder(
            source,
            options.out,
            name=options.name or Path(options.source).stem,
            precision=options.precision,
            opset=options.opset,
            calibration=pixels,
        )
    except (InvalidSource, ParityError) as error:
        print(f"export_clip: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps({"bundle": str(options.out), **bundle.manifest["parity"]}))


if __name__ == "__main__":
    main()
