"""Products of whole numbers: weights in eight bits, a quarter of fp32 on the disk and in memory.

A row of weights (all that goes into one output) has a scale, its largest weight over 127. In the graph each
row of activations gets one too (`_Rewriting._rounded_rows`); their products are added up as integers
(`com.microsoft.MatMulIntegerToFloat`) and both scales multiplied in. So what a row gives does not depend, to
the last bit, on the rows beside it. `onnxruntime.quantization.quantize_dynamic` has one scale for the
activations of a whole batch, so that a poem would change with its neighbours. docs/learning.md has the
figures.

Norms, biases, attention itself and tables that nothing is multiplied with stay in fp32.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
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
    for node in model.graph.node:
        rewriting.take(node)
    _replace(model.graph.node, rewriting.nodes)
    model.graph.initializer.extend(rewriting.added)
    _drop_unused(model.graph)
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
    """The nodes of one graph, anew.

    Attributes:
        nodes: those that were taken, or what stands in their place.
        added: the weights that they need.
    """

    def __init__(self, graph: onnx.GraphProto, *, when_loaded: bool) -> None:
        self._when_loaded = when_loaded
        self.nodes: list[onnx.NodeProto] = []
        self.added = [numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items()]
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

    def take(self, node: onnx.NodeProto) -> None:
        """The graph's next node: it stays, where there is nothing to round."""
        rows = self._rows(node)
        if rows is None:
            self.nodes.append(node)
        elif node.op_type == "Gather":
            self._look_up(node, rows)
        else:
            self._multiply(node, rows)

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

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def _weights_of(self, rows: np.ndarray, source: str, *, turned: bool) -> tuple[str, str]:
        """Names of a matrix's rows in eight bits and of their scales; the same for the same rows.

        `source` is its name in fp32, and `turned` whether its rows are columns there.
        """
        key = hashlib.sha256(np.ascontiguousarray(rows)).hexdigest()
        if key not in self._names:
            name = f"int8.{len(self._names)}"
            self._names[key] = f"{name}.rows", f"{name}.scales"
            if self._when_loaded:
                self._round_weights(name, source, turned=turned)
            else:
                for stored, array in zip(self._names[key], rounded(rows), strict=True):
                    self.added.append(numpy_helper.from_array(array, stored))
        return self._names[key]

    def _round_weights(self, name: str, source: str, *, turned: bool) -> None:
        """What `rounded` does, as nodes."""
        if turned:
            self._add("Transpose", [source], f"{name}.turned", perm=[1, 0])
            source = f"{name}.turned"
        self._add("Abs", [source], f"{name}.sizes")
        self._add("ReduceMax", [f"{name}.sizes", "int8.last"], f"{name}.most", keepdims=0)
        self._add("Div", [f"{name}.most", "int8.largest"], f"{name}.scales")
        self._add("Max", [f"{name}.scales", "int8.tiny"], f"{name}.positive")
        self._add("Unsqueeze", [f"{name}.positive", "int8.last"], f"{name}.column")
        self._add("Div", [source, f"{name}.column"], f"{name}.scaled")
        self._add("Round", [f"{name}.scaled"], f"{name}.whole")
        self._add("Cast", [f"{name}.whole"], f"{name}.rows", to=TensorProto.INT8)

    def _multiply(self, node: onnx.NodeProto, rows: np.ndarray) -> None:
        [out], [activations, source, *bias] = node.output, node.input
        weights, scales = self._weights_of(rows, source, turned=not _attributes(node).get("transB"))
        row = self._rounded_rows(activations)
        self._add("Transpose", [weights], f"{out}.weights", perm=[1, 0])
        relu = None if bias else self._relu_before_a_product(out)
        whole = f"{out}.whole" if relu is None else out
        inputs = [row.rounded, f"{out}.weights", row.step, scales, row.zero]
        self._add("MatMulIntegerToFloat", inputs, whole, domain=_DOMAIN)
        if relu is not None:
            self._unscaled[relu] = row.largest
            return
        product = f"{out}.product" if bias else out
        self._add("Mul", [whole, row.largest], product)
        if bias:
            self._add("Add", [product, *bias], out)

    def _relu_before_a_product(self, name: str) -> str | None:
        """What a Relu makes of `name`, if nothing else reads that, and only products with weights read this.

        relu(s x) is s relu(x) for each row's s > 0, and rounding divides a row by its largest number anyway.
        """
        [reader, *others] = self._readers.get(name, [None])
        if others or reader is None or reader.op_type != "Relu":
            return None
        [relu] = reader.output
        after = self._readers.get(relu, [])
        return relu if after and all(self._rows(node) is not None for node in after) else None

    def _rounded_rows(self, name: str) -> _Rounded:
        """Activations in eight bits: each row over its largest number. Made once for all that read them.

        A row of zeros becomes 0 / 0, rounded to some whole number, and that is multiplied with its largest
        one, 0. What comes out of a Relu has no sign, and a bit more for its size.
        """
        if name in self._rounded:
            return self._rounded[name]
        sizes, step, zero = f"{name}.size", "int8.step", "int8.zero"
        if name in self._makers and self._makers[name].op_type == "Relu":
            sizes, step, zero = name, "int8.unsigned_step", "int8.unsigned_zero"
        else:
            self._add("Abs", [name], sizes)
        row = _Rounded(rounded=f"{name}.rounded", largest=f"{name}.largest", step=step, zero=zero)
        largest = f"{name}.unscaled" if name in self._unscaled else row.largest
        self._add("ReduceMax", [sizes, "int8.last"], largest, keepdims=1)
        self._add("Div", [name, largest], f"{name}.scaled")
        self._add("QuantizeLinear", [f"{name}.scaled", step, zero], row.rounded)
        if name in self._unscaled:
            self._add("Mul", [largest, self._unscaled[name]], row.largest)
        self._rounded[name] = row
        return row

    def _look_up(self, node: onnx.NodeProto, rows: np.ndarray) -> None:
        """Rows of a table, by ids (N, T): whole numbers × the row's scale."""
        [out], [source, ids] = node.output, node.input
        table, scales = self._weights_of(rows, source, turned=False)
        self._add("Gather", [table, ids], f"{out}.whole")
        self._add("Cast", [f"{out}.whole"], f"{out}.float", to=TensorProto.FLOAT)
        self._add("Gather", [scales, ids], f"{out}.scales")
        self._add("Unsqueeze", [f"{out}.scales", "int8.last"], f"{out}.scale")
        self._add("Mul", [f"{out}.float", f"{out}.scale"], out)


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
