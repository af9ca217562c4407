"""A Chinese-CLIP → `image.onnx` and `text.onnx`, with dynamic batch and dynamic length of text."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import torch
from torch import nn

from models.training.chinese_clip.checkpoint import InvalidSource
from models.training.chinese_clip.model import ChineseClip, picture_size
from models.training.chinese_clip.towers import ImageTower, TextTower
from models.training.onnx_file import drop_notes

OPSET = 18
TOWERS = ("image.onnx", "text.onnx")
# A file of protobuf holds 2 GiB at most; weights of larger towers lie in a file beside it.
_LARGEST = 1_900_000_000
_AUTO = torch.export.Dim.AUTO


def export_towers(
    model: ChineseClip,
    folder: Path,
    *,
    precision: str = "fp32",
    opset: int = OPSET,
    largest: int = _LARGEST,
) -> dict[str, Path]:
    """Write both towers into `folder`.

    Args:
        precision: `fp32`; `fp16`, weights and arithmetic, while inputs and vectors are as in fp32; `int8`,
            for towers in fp32 that `quantise` will read.
        largest: bytes of weights from which on they lie in a file of their own.

    Returns the files that make up the towers, by name. Raises InvalidSource for an opset below OPSET, or one
    that PyTorch cannot write.
    """
    if opset < OPSET:
        raise InvalidSource(f"opset {opset}: {OPSET} is the least that PyTorch exports these towers to")
    size = picture_size(model)
    pixels = torch.zeros(2, 3, size, size)
    # Two tensors: of one given twice the exporter makes one input.
    ids, mask = (torch.ones(2, 7, dtype=torch.int64) for _ in range(2))
    half, spare = precision == "fp16", precision != "fp16"
    files = _export(
        ImageTower(copy.deepcopy(model), spare=spare),
        {"pixels": pixels},
        {"pixels": {0: _AUTO}},
        folder / TOWERS[0],
        half=half,
        opset=opset,
        largest=largest,
    )
    return files | _export(
        TextTower(copy.deepcopy(model), spare=spare),
        {"ids": ids, "mask": mask},
        {name: {0: _AUTO, 1: _AUTO} for name in ("ids", "mask")},
        folder / TOWERS[1],
        half=half,
        opset=opset,
        largest=largest,
    )


@torch.no_grad()
def _export(
    tower: nn.Module,
    arguments: dict[str, torch.Tensor],
    shapes: dict[str, dict],
    path: Path,
    *,
    half: bool,
    opset: int,
    largest: int,
) -> dict[str, Path]:
    tower = tower.half() if half else tower.float()
    program = torch.onnx.export(
        tower.eval(),
        kwargs=arguments,
        input_names=list(arguments),
        output_names=["vectors"],
        dynamic_shapes=shapes,
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    # What it cannot convert PyTorch leaves as it is, with a warning.
    if program.model.opset_imports[""] != opset:
        raise InvalidSource(f"opset {opset}: PyTorch writes {program.model.opset_imports['']} in its place")
    weights = sum(weight.numel() * weight.element_size() for weight in tower.parameters())
    program.save(path, external_data=weights > largest)
    clean = onnx.load(path, load_external_data=False)
    drop_notes(clean)
    onnx.save(clean, path)
    return {found.name: found for found in sorted(path.parent.glob(f"{path.name}*"))}
