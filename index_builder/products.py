"""An ONNX graph for the products of small-integer vectors with many others: y = ((u - zero) · Wᵀ) · s.

Written by hand as protocol buffer fields (onnx.proto3), because the package `onnx` is for training alone.
"""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

_FLOAT, _UINT8, _INT8 = 1, 2, 3


def product_session(codes: np.ndarray, scales: np.ndarray, *, zero: int) -> ort.InferenceSession:
    """A session that maps `u`, (B, D) uint8, to `y`, (B, N) float32, on one thread.

    Args:
        codes: (N, D) int8, W.
        scales: (N,) float32, s.
        zero: 0 to 255.
    """
    count, dimension = codes.shape
    graph = b"".join(
        [
            _node("MatMulInteger", ["u", "w", "zero"], "products"),
            _node(
                "Cast",
                ["products"],
                "floats",
                _bytes(5, _bytes(1, b"to") + _number(3, _FLOAT) + _number(20, 2)),
            ),
            _node("Mul", ["floats", "scales"], "y"),
            _bytes(2, b"products"),
            _tensor("w", _INT8, np.ascontiguousarray(codes.T)),
            _tensor("zero", _UINT8, np.array(zero, np.uint8)),
            _tensor("scales", _FLOAT, scales[np.newaxis]),
            _bytes(11, _value("u", _UINT8, dimension)),
            _bytes(12, _value("y", _FLOAT, count)),
        ]
    )
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 17))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Each number of vectors would leave a plan of memory behind.
    options.enable_mem_pattern = False
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _node(operator: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    return _bytes(1, names + _bytes(4, operator.encode()) + attribute)


def _tensor(name: str, kind: int, values: np.ndarray) -> bytes:
    sizes = b"".join(_number(1, size) for size in values.shape)
    return _bytes(5, sizes + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, values.tobytes()))


def _value(name: str, kind: int, width: int) -> bytes:
    """A matrix of any number of rows."""
    sizes = _bytes(1, _bytes(2, b"rows")) + _bytes(1, _number(1, width))
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
