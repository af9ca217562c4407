"""A poet's weights in one safetensors file, which transformers reads and the ONNX graphs refer to.

What several graphs hold (a T5's embeddings) and what both transformers and ONNX Runtime need lies on the disk
once. A graph that needs a weight in fp32, or transposed, says so in nodes that ONNX Runtime folds when it
loads the model. The layout of the file: https://huggingface.co/docs/safetensors (the length of the header in
eight bytes, the header as JSON, the tensors).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

_LENGTH_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """Where a tensor's bytes lie in the file, and whether a graph's weight is its transpose."""

    offset: int
    length: int
    array: np.ndarray
    transposed: bool


def write_weights(graphs: Iterable[onnx.ModelProto], path: Path) -> None:
    """Write the matrices of the graphs to `path`, each once, and have the graphs refer to them."""
    graphs = list(graphs)
    arrays = [numpy_helper.to_array(weight) for graph in graphs for weight in _matrices(graph)]
    distinct = {_key(array): array for array in arrays}
    save_file({f"weight.{number}": array for number, array in enumerate(distinct.values())}, path)
    refer_to_weights(graphs, path)


def refer_to_weights(graphs: Iterable[onnx.ModelProto], path: Path) -> None:
    """Replace the graphs' matrices by references into the safetensors file at `path`, which is to lie beside.

    A matrix is found by its content: as it is, or transposed, in fp32, or where the file holds that, rounded
    to fp16. One that is not in the file stays in the graph.
    """
    index = _index(path)
    for graph in graphs:
        nodes: list[onnx.NodeProto] = []
        for weight in _matrices(graph):
            array = numpy_helper.to_array(weight)
            stored = index.get(_key(array)) or index.get(_key(array.astype(np.float16)))
            if stored:
                nodes += _refer(weight, stored, path.name)
        nodes += graph.graph.node
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)


def _matrices(graph: onnx.ModelProto) -> list[TensorProto]:
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8)
    return [w for w in graph.graph.initializer if len(w.dims) > 1 and w.data_type in kinds]


def _refer(weight: TensorProto, stored: _Stored, location: str) -> list[onnx.NodeProto]:
    """Turn `weight` into a reference; returns the nodes that make of it what it was."""
    name, array = weight.name, stored.array
    steps: list[tuple[str, dict[str, Any]]] = []
    if array.dtype == np.float16 and weight.data_type == TensorProto.FLOAT:
        steps.append(("Cast", {"to": TensorProto.FLOAT}))
    if stored.transposed:
        steps.append(("Transpose", {"perm": [1, 0]}))
    names = [*(f"{name}.stored.{number}" for number in range(len(steps))), name]
    weight.Clear()
    weight.name = names[0]
    weight.dims.extend(array.shape)
    weight.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    weight.data_location = TensorProto.EXTERNAL
    places = {"location": location, "offset": stored.offset, "length": stored.length}
    for key, value in places.items():
        weight.external_data.add(key=key, value=str(value))
    return [
        helper.make_node(operator, [names[number]], [names[number + 1]], **attributes)
        for number, (operator, attributes) in enumerate(steps)
    ]


def _index(path: Path) -> dict[str, _Stored]:
    """The file's tensors by content; matrices transposed as well."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
    start = _LENGTH_BYTES + length
    found: dict[str, _Stored] = {}
    for name, array in load_file(path).items():
        begin, end = header[name]["data_offsets"]
        place = {"offset": start + begin, "length": end - begin, "array": array}
        found[_key(array)] = _Stored(**place, transposed=False)
        if array.ndim == 2:
            found.setdefault(_key(array.T), _Stored(**place, transposed=True))
    return found


def _key(array: np.ndarray) -> str:
    content = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
    return f"{array.dtype} {array.shape} {content}"
