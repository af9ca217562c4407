"""How a model is put on disk: half the size, and nothing of the machine that exported it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` to `path`, with large weights as fp16 and without the exporter's notes."""
    store_as_fp16(model)
    drop_notes(model)
    onnx.save(model, path)


def store_as_fp16(model: onnx.ModelProto) -> None:
    """Keep the large fp32 weights as fp16, each with a Cast that ONNX Runtime folds when it loads the model.

    Exact where the weights were rounded to fp16 before.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype("float16"), f"{name}.fp16")
        weight.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def divide_by_roots(model: onnx.ModelProto) -> None:
    """Write x · (1 / √y) as x / √y, by which ONNX Runtime knows a norm that it makes one node of."""
    nodes = model.graph.node
    makers = {output: node for node in nodes for output in node.output}
    for node in nodes:
        of = [makers.get(name) for name in node.input]
        for place, maker in enumerate(of):
            if node.op_type == "Mul" and maker is not None and maker.op_type == "Reciprocal":
                divided, root = node.input[1 - place], maker.input[0]
                node.op_type = "Div"
                node.input[:] = [divided, root]
                break
    used = {name for node in nodes for name in node.input}
    kept = [node for node in nodes if node.op_type != "Reciprocal" or node.output[0] in used]
    del nodes[:]
    nodes.extend(kept)


def drop_notes(model: onnx.ModelProto) -> None:
    """Remove the metadata that PyTorch's exporter leaves at every node: stack traces with paths of files."""
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.value_info,
        *graph.input,
        *graph.output,
        *graph.initializer,
    ):
        del part.metadata_props[:]
        part.ClearField("doc_string")
