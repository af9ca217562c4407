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
