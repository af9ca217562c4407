"""Weights in eight bits: a quarter of fp32 on the disk and in memory, and twice as fast for one poem.

A row of weights (all that goes into one output) is cut into blocks of up to 128; each block has a scale, its
largest weight over 127. ONNX Runtime multiplies them with activations that it rounds in the same way, block
by block of each row (`com.microsoft.MatMulNBits`, accuracy level 4): what a row gives does not depend on the
rows beside it. `onnxruntime.quantization.quantize_dynamic` has one scale for the activations of a whole
batch, so that a poem would change with its neighbours. docs/learning.md has the figures.

Norms, biases, attention itself and tables whose rows do not divide into blocks stay in fp32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_DOMAIN = "com.microsoft"
_BLOCKS = (128, 64, 32, 16)
# What stands for 0 where MatMulNBits is given no zero points.
_ZERO = 128
_LARGEST = 127
_ACTIVATIONS_IN_INT8 = 4


def quantise(model: onnx.ModelProto) -> None:
    """Put the matrices that `model` multiplies with, and its tables, into eight bits, in place.

    A table that is also the output layer is held once. Weights may lie behind Cast and Transpose nodes.
    """
    rewriting = _Rewriting(model.graph)
    nodes = [new for node in model.graph.node for new in rewriting.replaced(node)]
    _replace(model.graph.node, nodes)
    _drop_unused(model.graph)
    model.graph.initializer.extend(rewriting.added)
    if all(domain.domain != _DOMAIN for domain in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def blocks_of(rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 (N, K) as blocks, uint8 (N, K / size, size) around 128, and scales, float32 (N, K / size)"""
    blocks = rows.reshape(len(rows), -1, size)
    scales = np.abs(blocks).max(axis=-1) / np.float32(_LARGEST)
    divisors = np.where(scales == 0, np.float32(1), scales)[..., None]
    return (np.rint(blocks / divisors) + _ZERO).astype(np.uint8), scales


class _Rewriting:
    """The nodes of one graph, anew; `added` are the weights that they need."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.added: list[TensorProto] = []
        self._weights = {weight.name: weight for weight in graph.initializer}
        self._makers = {output: node for node in graph.node for output in node.output}
        self._names: dict[str, tuple[str, str]] = {}

    def replaced(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes in the place of `node`: itself, where there is nothing to round."""
        rows = self._rows(node)
        size = None if rows is None else next((size for size in _BLOCKS if rows.shape[1] % size == 0), None)
        if size is None:
            yield node
        elif node.op_type == "Gather":
            yield from self._lookup(node, rows, size)
        else:
            yield from self._product(node, rows, size)

    def _rows(self, node: onnx.NodeProto) -> np.ndarray | None:
        """A table's rows, or the weights of each output in a row; None where `node` has no such thing."""
        if node.op_type == "Gather":
            return self._constant(node.input[0])
        if node.op_type not in ("MatMul", "Gemm"):
            return None
        weights = self._constant(node.input[1])
        return weights if weights is None or _attributes(node).get("transB") else weights.T

    def _constant(self, name: str) -> np.ndarray | None:
        """The matrix of this name, in fp32; None where it is none, or not known before the graph runs."""
        if name in self._weights:
            array = numpy_helper.to_array(self._weights[name])
            return array.astype(np.float32) if array.ndim == 2 and array.dtype.kind == "f" else None
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in ("Cast", "Transpose"):
            return None
        before = self._constant(maker.input[0])
        return before.T if before is not None and maker.op_type == "Transpose" else before

    def _stored(self, rows: np.ndarray, size: int) -> tuple[str, str]:
        """Names of the blocks and of their scales; the same for the same rows."""
        key = hashlib.sha256(np.ascontiguousarray(rows)).hexdigest()
        if key not in self._names:
            number = len(self._names)
            self._names[key] = (f"int8.{number}.blocks", f"int8.{number}.scales")
            for name, array in zip(self._names[key], blocks_of(rows, size), strict=True):
                self.added.append(numpy_helper.from_array(array, name))
        return self._names[key]

    def _product(self, node: onnx.NodeProto, rows: np.ndarray, size: int) -> Iterator[onnx.NodeProto]:
        [out], bias = node.output, node.input[2:]
        product = f"{out}.product" if bias else out
        yield helper.make_node(
            "MatMulNBits",
            [node.input[0], *self._stored(rows, size)],
            [product],
            domain=_DOMAIN,
            N=rows.shape[0],
            K=rows.shape[1],
            bits=8,
            block_size=size,
            accuracy_level=_ACTIVATIONS_IN_INT8,
        )
        if bias:
            yield helper.make_node("Add", [product, *bias], [out])

    def _lookup(self, node: onnx.NodeProto, rows: np.ndarray, size: int) -> Iterator[onnx.NodeProto]:
        """Rows of a table, by ids (N, T): (block − 128) × scale, blocks joined."""
        [out], ids = node.output, node.input[1]
        blocks, scales = self._stored(rows, size)
        constants = {"zero": np.float32(_ZERO), "last": np.array([-1]), "joined": np.array([0, 0, -1])}
        names = {name: f"{out}.{name}" for name in constants}
        self.added += [numpy_helper.from_array(np.asarray(v), names[name]) for name, v in constants.items()]
        steps = {
            "blocks": ("Gather", [blocks, ids]),
            "float": ("Cast", [f"{out}.blocks"]),
            "centred": ("Sub", [f"{out}.float", names["zero"]]),
            "scales": ("Gather", [scales, ids]),
            "spread": ("Unsqueeze", [f"{out}.scales", names["last"]]),
            "scaled": ("Mul", [f"{out}.centred", f"{out}.spread"]),
        }
        for name, (operator, inputs) in steps.items():
            attributes = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
            yield helper.make_node(operator, inputs, [f"{out}.{name}"], **attributes)
        yield helper.make_node("Reshape", [f"{out}.scaled", names["joined"]], [out])


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove weights, and nodes that made weights of weights, that nothing reads any more."""
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update(node.input)
            kept.append(node)
    _replace(graph.node, list(reversed(kept)))
    _replace(graph.initializer, [weight for weight in graph.initializer if weight.name in used])


def _replace(field: Any, values: list) -> None:
    del field[:]
    field.extend(values)
