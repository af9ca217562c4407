"""What is done to a graph before it is written."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from models.training.onnx_file import divide_by_roots


@pytest.mark.parametrize("swapped", [False, True])
def test_a_product_with_a_reciprocal_becomes_a_quotient(swapped):
    factors = ["inverse", "x"] if swapped else ["x", "inverse"]
    nodes = [
        helper.make_node("Pow", ["x", "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "last"], ["mean"], keepdims=1),
        helper.make_node("Sqrt", ["mean"], ["root"]),
        helper.make_node("Reciprocal", ["root"], ["inverse"]),
        helper.make_node("Mul", factors, ["scaled"]),
        helper.make_node("Mul", ["weight", "scaled"], ["y"]),
    ]
    weight = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    constants = {"two": np.array(2.0, np.float32), "last": np.array([-1]), "weight": weight}
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "norm", shape[:1], shape[1:], [numpy_helper.from_array(v, k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    divide_by_roots(model)
    checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Pow", "ReduceMean", "Sqrt", "Div", "Mul"]
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    [y] = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    expected = x / np.sqrt((x**2).mean(axis=1, keepdims=True)) * weight
    np.testing.assert_allclose(y, expected, rtol=1e-6)
