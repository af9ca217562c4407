"""An ONNX graph that finds which of many small-integer rows have the largest products with a vector."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from models.small_graph import FLOAT, INT64, graph, node, open_graph, tensor, value


def candidate_session(codes: np.ndarray, scales: np.ndarray) -> ort.InferenceSession:
    """A session of one thread that finds the rows with the largest estimates of q · (codes · scales).

    Inputs: `q`, (1, D) float32; `m`, (1,) int64, how many rows are wanted, at most N.
    Outputs: `estimates`, (1, m) float32, largest first; `ids`, (1, m) int64, of their rows; `rounded`, (1, D)
    float32, q in 255 levels, as it was multiplied.

    Args:
        codes: (N, D) int8.
        scales: (N,) float32, above 0.
    """
    width = codes.shape[1]
    return open_graph(
        graph(
            [
                node("DynamicQuantizeLinear", ["q"], ["u", "unit", "zero"]),
                node("DequantizeLinear", ["u", "unit", "zero"], ["rounded"]),
                node("MatMulIntegerToFloat", ["u", "w", "unit", "scales", "zero"], ["y"], "com.microsoft"),
                node("TopK", ["y", "m"], ["estimates", "ids"]),
            ],
            [tensor("w", np.ascontiguousarray(codes.T)), tensor("scales", scales)],
            [value("q", FLOAT, 1, width), value("m", INT64, 1)],
            [
                value("estimates", FLOAT, 1, "m"),
                value("ids", INT64, 1, "m"),
                value("rounded", FLOAT, 1, width),
            ],
        )
    )
