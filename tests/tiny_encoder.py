"""A real encoder bundle of a few numbers: two ONNX towers over one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.bundle import write_bundle

FACTS = {
    "kind": "encoder",
    "name": "tiny",
    "dimension": 4,
    "tokenizer": {
        "type": "longest_match",
        "vocabulary": "vocabulary.txt",
        "variants": "variants.txt",
        "limit": 32,
    },
    "image": {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3, "views": ["squash"]},
}


def write_tiny(folder: Path) -> Path:
    """Write the bundle `tiny` in a folder; returns its path."""
    _save_text_tower(folder / "text.onnx")
    _save_image_tower(folder / "image.onnx")
    (folder / "vocabulary.txt").write_text("某\n明\n月\n明月\n相思\n孤\n舟\n秋\n", encoding="utf-8")
    (folder / "variants.txt").write_text("憐怜\n", encoding="utf-8")
    files = {entry.name: entry for entry in folder.iterdir()}
    return write_bundle(folder / "tiny", FACTS, files).path


def _save(nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[Any]]], path: Path) -> None:
    """A graph of these nodes that ends in `vectors`, unit rows; it has one table of eight rows of four."""
    table = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    constants: dict[str, np.ndarray] = {"table": table, "last": np.array([2]), "middle": np.array([1])}
    nodes = [*nodes, helper.make_node("LpNormalization", ["summed"], ["vectors"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _save_text_tower(path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["summed"], keepdims=0),
    ]
    shape = (TensorProto.INT64, ["n", "t"])
    _save(nodes, {"ids": shape, "mask": shape}, path)


def _save_image_tower(path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["pooled"], axes=[3], keepdims=0),
        helper.make_node("ReduceMean", ["pooled"], ["channels"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["channels", "table"], ["summed"]),
    ]
    _save(nodes, {"pixels": (TensorProto.FLOAT, ["n", 3, 8, 8])}, path)
