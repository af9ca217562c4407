"""Whether a model is run in eight bits: where its bundle has a graph for it, on a processor that is exact."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.small_graph import FLOAT, UINT8, graph, node, open_graph, tensor, value

INT8 = ".int8.onnx"
"""What the name of a graph ends with that computes in eight bits; another one in fp32 lies beside it."""

_TERMS = 64


def graph_of(bundle: Bundle, name: str, *, provider: str, int8: bool) -> Path:
    """The file of a bundle's graph `name`; with `int8` the one in eight bits, if there is one that is of use.

    Raises CorruptArtifact where there is none at all.
    """
    rounded = name + INT8
    if int8 and rounded in bundle.manifest["files"] and is_of_use(provider):
        return bundle.file(rounded)
    return bundle.file(f"{name}.onnx")


def is_of_use(provider: str) -> bool:
    """Whether eight bits serve here: CUDA has no kernels for them, and not every CPU is exact."""
    return provider == "cpu" and exact_products()


@cache
def exact_products() -> bool:
    """Whether ONNX Runtime adds up products of uint8 and int8 here without losing any.

    Without VNNI two of them are added in 16 bits: 255 · 63 · 2 fits, 255 · 127 · 2 does not.
    """
    session = open_graph(
        graph(
            [node("MatMulIntegerToFloat", ["x", "w", "one", "one"], ["y"], "com.microsoft")],
            [tensor("w", np.full((_TERMS, 1), 127, np.int8)), tensor("one", np.ones(1, np.float32))],
            [value("x", UINT8, 1, _TERMS)],
            [value("y", FLOAT, 1, 1)],
        )
    )
    [[[found]]] = session.run(None, {"x": np.full((1, _TERMS), 255, np.uint8)})
    return bool(found == 255 * 127 * _TERMS)
