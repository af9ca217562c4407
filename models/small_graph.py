"""Small ONNX graphs, written by hand as protocol buffer fields (onnx.proto3).

The package `onnx` is for training alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

FLOAT, UINT8, INT64 = 1, 2, 7

_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int8): 3}
_OPSET = 17


def open_graph(model: bytes) -> ort.InferenceSession:
    """A session of one thread on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Each size that is left open would leave a plan of memory behind.
    options.enable_mem_pattern = False
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def graph(
    nodes: Sequence[bytes], weights: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """A model of `node`s, `tensor`s and `value`s."""
    parts = [*nodes, _bytes(2, b"graph"), *weights]
    parts += [_bytes(11, entry) for entry in inputs] + [_bytes(12, entry) for entry in outputs]
    domains = _bytes(8, _number(2, _OPSET)) + _bytes(8, _bytes(1, b"com.microsoft") + _number(2, 1))
    return _number(1, 8) + _bytes(7, b"".join(parts)) + domains


def node(operator: str, inputs: list[str], outputs: list[str], domain: str = "") -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    names += b"".join(_bytes(2, name.encode()) for name in outputs)
    return _bytes(1, names + _bytes(4, operator.encode()) + _bytes(7, domain.encode()))


def tensor(name: str, values: np.ndarray) -> bytes:
    """A constant: float32, uint8 or int8."""
    sizes = b"".join(_number(1, size) for size in values.shape)
    kind = _number(2, _TYPES[values.dtype])
    return _bytes(5, sizes + kind + _bytes(8, name.encode()) + _bytes(9, values.tobytes()))


def value(name: str, kind: int, *shape: int | str) -> bytes:
    """An input or an output of this type and shape; a size that is a name may be any."""
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
