"""Products of whole numbers: weights in eight bits, a quarter of fp32 on the disk and in memory.

A row of weights (all that goes into one output) has a scale, its largest weight over 127. In the graph each
row of activations gets one too (`_Rewriting._round`); their products are added up as integers
(`com.microsoft.MatMulIntegerToFloat`) and both scales multiplied in. So what a row gives does not depend, to
the last bit, on the rows beside it. `onnxruntime.quantization.quantize_dynamic` has one scale for the
activations of a whole batch, so that a poem would change with its neighbours. docs/learning.md has the
figures.

Norms, biases, attention itself and tables that nothing is multiplied with stay in fp32.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_DOMAIN = "com.microsoft"
_LARGEST = 127
# What stands for 0 in activations, which the quick products of ONNX Runtime want unsigned.
_ZERO = 128


def quantise(model: onnx.ModelProto, *, when_loaded: bool = False) -> None:
    """Put the matrices that `model` multiplies with, and its tables, into eight bits, in place.

    A table that is also the output layer is held once. Weights may lie behind Cast and Transpose nodes.

    Args:
        when_loaded: keep the weights as they are, and add nodes that round them, which ONNX Runtime folds as
            it loads the model: then other graphs can refer to the same weights.
    """
    rewriting = _Rewriting(model.graph, when_loaded=when_loaded)
    nodes = [new for node in model.graph.node for new in rewriting.replaced(node)]
    _replace(model.graph.node, nodes)
    _drop_unused(model.graph)
    model.graph.initializer.extend(rewriting.added)
    if all(domain.domain != _DOMAIN for domain in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def rounded(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float32 (N, K) as int8 (N, K) and a scale for each row, float32 (N,)"""
    scales = np.abs(rows).max(axis=-1) / np.float32(_LARGEST)
    divisors = np.where(scales == 0, np.float32(1), scales)[:, None]
    return np.rint(rows / divisors).astype(np.int8), scales


_CONSTANTS = {
    "int8.zero": np.uint8(_ZERO),
    "int8.step": np.float32(1 / 127),
    "int8.unsigned_zero": np.uint8(0),
    "int8.unsigned_step": np.float32(1 / 255),
    "int8.last": np.array([-1]),
    "int8.largest": np.float32(_LARGEST),
    "int8.tiny": np.float32(1e-30),
}


@dataclass(frozen=True, kw_only=True)
class _Rounded:
    """Names of activations in eight bits, uint8, and of each row's largest number; what 1 and 0 stand for."""

    rounded: str
    largest: str
    step: str
    zero: str


class _Rewriting:
    """The nodes of one graph, anew; `added` are the weights that they need."""

    def __init__(self, graph: onnx.GraphProto, *, when_loaded: bool) -> None:
        self._when_loaded = when_loaded
        self.added: list[TensorProto] = []
        self._weights = {weight.name: weight for weight in graph.initializer}
        self._makers = {output: node for node in graph.node for output in node.output}
        self._names: dict[str, tuple[str, str]] = {}
        self._readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._rounded: dict[str, _Rounded] = {}
        # By what comes out of a Relu whose input was not multiplied with it: each row's number.
        self._unscaled: dict[str, str] = {}
        for name, value in _CONSTANTS.items():
            self.added.append(numpy_helper.from_array(value, name))

    def replaced(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes in the place of `node`: itself, where there is nothing to round."""
        rows = self._rows(node)
        if rows is None:
            yield node
        elif node.op_type == "Gather":
            yield from self._lookup(node, rows)
        else:
            yield from self._product(node, rows)

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

    def _rows_of(self, rows: np.ndarray, source: str, *, turned: bool) -> Iterator[onnx.NodeProto]:
        """The nodes that make a matrix's rows in eight bits, where they are not made or stored already.

        `source` is its name in fp32, and `turned` whether its rows are columns there.
        """
        key = _content(rows)
        if key in self._names:
            return
        name = f"int8.{len(self._names)}"
        whole, scales = self._names[key] = f"{name}.rows", f"{name}.scales"
        if not self._when_loaded:
            for stored, array in zip((whole, scales), rounded(rows), strict=True):
                self.added.append(numpy_helper.from_array(array, stored))
            return
        if turned:
            yield helper.make_node("Transpose", [source], [f"{name}.turned"], perm=[1, 0])
            source = f"{name}.turned"
        yield helper.make_node("Abs", [source], [f"{name}.sizes"])
        yield helper.make_node("ReduceMax", [f"{name}.sizes", "int8.last"], [f"{name}.most"], keepdims=0)
        yield helper.make_node("Div", [f"{name}.most", "int8.largest"], [scales])
        yield helper.make_node("Max", [scales, "int8.tiny"], [f"{name}.positive"])
        yield helper.make_node("Unsqueeze", [f"{name}.positive", "int8.last"], [f"{name}.column"])
        yield helper.make_node("Div", [source, f"{name}.column"], [f"{name}.scaled"])
        yield helper.make_node("Round", [f"{name}.scaled"], [f"{name}.whole"])
        yield helper.make_node("Cast", [f"{name}.whole"], [whole], to=TensorProto.INT8)

    def _product(self, node: onnx.NodeProto, rows: np.ndarray) -> Iterator[onnx.NodeProto]:
        [out], [activations, source, *bias] = node.output, node.input
        yield from self._rows_of(rows, source, turned=not _attributes(node).get("transB"))
        weights, scales = self._names[_content(rows)]
        if activations not in self._rounded:
            yield from self._round(activations)
        row = self._rounded[activations]
        yield helper.make_node("Transpose", [weights], [f"{out}.weights"], perm=[1, 0])
        later = not bias and self._goes_through_relu(out)
        whole = out if later else f"{out}.whole"
        yield helper.make_node(
            "MatMulIntegerToFloat",
            [row.rounded, f"{out}.weights", row.step, scales, row.zero],
            [whole],
            domain=_DOMAIN,
        )
        if later:
            self._unscaled[self._readers[out][0].output[0]] = row.largest
            return
        product = f"{out}.product" if bias else out
        yield helper.make_node("Mul", [whole, row.largest], [product])
        if bias:
            yield helper.make_node("Add", [product, *bias], [out])

    def _goes_through_relu(self, name: str) -> bool:
        """Whether all that reads it is a Relu, and all that reads that multiplies it with weights.

        relu(s x) is s relu(x) for each row's s > 0, and rounding divides a row by its largest number anyway.
        """
        [reader, *others] = self._readers.get(name, [None])
        if others or reader is None or reader.op_type != "Relu":
            return False
        after = self._readers.get(reader.output[0], [])
        return bool(after) and all(self._rows(node) is not None for node in after)

    def _round(self, name: str) -> Iterator[onnx.NodeProto]:
        """Each row's largest number, and the row over it in eight bits.

        A row of zeros becomes 0 / 0, rounded to some whole number, and that is multiplied with its largest
        one, 0. What comes out of a Relu has no sign, and a bit more for its size.
        """
        sizes, step, zero = f"{name}.size", "int8.step", "int8.zero"
        if name in self._makers and self._makers[name].op_type == "Relu":
            sizes, step, zero = name, "int8.unsigned_step", "int8.unsigned_zero"
        else:
            yield helper.make_node("Abs", [name], [sizes])
        row = _Rounded(rounded=f"{name}.rounded", largest=f"{name}.largest", step=step, zero=zero)
        largest = f"{name}.unscaled" if name in self._unscaled else row.largest
        yield helper.make_node("ReduceMax", [sizes, "int8.last"], [largest], keepdims=1)
        yield helper.make_node("Div", [name, largest], [f"{name}.scaled"])
        yield helper.make_node("QuantizeLinear", [f"{name}.scaled", step, zero], [row.rounded])
        if name in self._unscaled:
            yield helper.make_node("Mul", [largest, self._unscaled[name]], [row.largest])
        self._rounded[name] = row

    def _lookup(self, node: onnx.NodeProto, rows: np.ndarray) -> Iterator[onnx.NodeProto]:
        """Rows of a table, by ids (N, T): whole numbers × the row's scale."""
        [out], [source, ids] = node.output, node.input
        yield from self._rows_of(rows, source, turned=False)
        table, scales = self._names[_content(rows)]
        yield helper.make_node("Gather", [table, ids], [f"{out}.whole"])
        yield helper.make_node("Cast", [f"{out}.whole"], [f"{out}.float"], to=TensorProto.FLOAT)
        yield helper.make_node("Gather", [scales, ids], [f"{out}.scales"])
        yield helper.make_node("Unsqueeze", [f"{out}.scales", "int8.last"], [f"{out}.scale"])
        yield helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out])


def _content(rows: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows)).hexdigest()


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
