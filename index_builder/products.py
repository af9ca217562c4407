"""An ONNX graph that finds which of many small-integer rows have the largest products with a vector.

Written by hand as protocol buffer fields (onnx.proto3), because the package `onnx` is for training alone.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

_FLOAT, _INT8, _INT64 = 1, 3, 7
_OPSET = 17


def candidate_session(codes: np.ndarray, scales: np.ndarray) -> ort.InferenceSession:
    """A session of one thread that finds the rows with the largest estimates of q · (codes · scales).

    Inputs: `q`, (1, D) float32; `m`, (1,) int64, how many rows are wanted, at most N.
    Outputs: `estimates`, (1, m) float32, largest first; `ids`, (1, m) int64, of their rows; `rounded`, (1, D)
    float32, q in 255 levels, as it was multiplied.

    Args:
        codes: (N, D) int8.
        scales: (N,) float32, above 0.
    """
    graph = b"".join(
        [
            _node("DynamicQuantizeLinear", ["q"], ["u", "unit", "zero"]),
            _node("DequantizeLinear", ["u", "unit", "zero"], ["rounded"]),
            _node("MatMulIntegerToFloat", ["u", "w", "unit", "scales", "zero"], ["y"], "com.microsoft"),
            _node("TopK", ["y", "m"], ["estimates", "ids"]),
            _bytes(2, b"candidates"),
            _tensor("w", _INT8, np.ascontiguousarray(codes.T)),
            _tensor("scales", _FLOAT, scales),
            _bytes(11, _value("q", _FLOAT, 1, codes.shape[1])),
            _bytes(11, _value("m", _INT64, 1)),
            _bytes(12, _value("estimates", _FLOAT, 1, "m")),
            _bytes(12, _value("ids", _INT64, 1, "m")),
            _bytes(12, _value("rounded", _FLOAT, 1, codes.shape[1])),
        ]
    )
    domains = _bytes(8, _number(2, _OPSET)) + _bytes(8, _bytes(1, b"com.microsoft") + _number(2, 1))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Each number of wanted rows would leave a plan of memory behind.
    options.enable_mem_pattern = False
    model = _number(1, 8) + _bytes(7, graph) + domains
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _node(operator: str, inputs: list[str], outputs: list[str], domain: str = "") -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    names += b"".join(_bytes(2, name.encode()) for name in outputs)
    return _bytes(1, names + _bytes(4, operator.encode()) + _bytes(7, domain.encode()))


def _tensor(name: str, kind: int, values: np.ndarray) -> bytes:
    sizes = b"".join(_number(1, size) for size in values.shape)
    return _bytes(5, sizes + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, values.tobytes()))


def _value(name: str, kind: int, *shape: int | str) -> bytes:
    """A tensor of this shape; a size that is a name may be any."""
    sizes = b"".join(
        _bytes(1, _bytes(2, size.encode()) if isinstance(size, str) else _number(1, size)) for size in shape
    )
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, sizes)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
