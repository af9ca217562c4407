"""fp32 towers → int8: weights per channel; activations by the batch, or by what pictures made of them.

Transformers are quantised dynamically: each activation's range is found as it is computed, which costs
little beside a matrix product and needs no data. Convolutions have no fast kernel for that in ONNX Runtime,
so a tower of convolutions is quantised statically, with ranges seen on calibration pictures. A transformer's
projection stays as it is: one row for each picture or text, and half of the error when it is rounded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.training.onnx_file import drop_notes

# A type for what shape inference does not reach.
_FLOAT = {"DefaultTensorType": onnx.TensorProto.FLOAT}
_PICTURES_AT_ONCE = 4
_RESNET = ("Conv", "MatMul", "Gemm", "Relu", "Add", "AveragePool")
_PROJECTION = "projection.weight"


def quantise(path: Path, out: Path, *, pixels: Sequence[np.ndarray] = (), external: bool = False) -> None:
    """Write an int8 copy of the tower at `path`.

    Args:
        pixels: float32 (3, size, size) each; where there are some, activations are calibrated on them.
        external: whether weights lie in a file of their own.
    """
    if pixels:
        quantise_statically(path, out, pixels, operators=_RESNET)
    else:
        quantize_dynamic(
            path,
            out,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_kept(path),
            use_external_data_format=external,
            extra_options={**_FLOAT, "MatMulConstBOnly": True},
        )
    model = onnx.load(out, load_external_data=False)
    drop_notes(model)
    onnx.save(model, out)


def _kept(path: Path) -> list[str]:
    """The projection, and products with a matrix for each head: a thousandth of the work, not worth a
    rounding."""
    graph = onnx.load(path, load_external_data=False).graph
    stacked = {weight.name for weight in graph.initializer if len(weight.dims) > 2}
    kept = [
        node.name
        for node in graph.node
        if (node.op_type == "MatMul" and stacked & set(node.input))
        or any(name.endswith(_PROJECTION) for name in node.input)
    ]
    # A Gemm is made a product with a name of its own first.
    return kept + [f"{name}_MatMul" for name in kept]


def quantise_statically(
    path: Path, out: Path, pixels: Sequence[np.ndarray], *, operators: Sequence[str]
) -> None:
    """Write an int8 copy of the tower at `path`, whose activations have the ranges that pictures gave.

    Args:
        pixels: float32 (3, H, W) each.
        operators: those whose inputs and outputs are rounded.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # Folds the batch norms into their convolutions.
        folded = Path(scratch) / "folded.onnx"
        quant_pre_process(path, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            out,
            _Pictures(pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=_FLOAT,
        )


class _Pictures(CalibrationDataReader):
    """Batches of calibration pictures, once."""

    def __init__(self, pixels: Sequence[np.ndarray]) -> None:
        self._batches = self._cut(pixels)

    @staticmethod
    def _cut(pixels: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(pixels), _PICTURES_AT_ONCE):
            yield {"pixels": np.stack(pixels[start : start + _PICTURES_AT_ONCE])}

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)
