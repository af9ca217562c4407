"""Fine-tuning of the encoder `lite`: one matrix at the end of each tower, trained; all before it stays.

A picture's vector becomes unit(v + f A), with f the 1,280 pooled features that its classifier sees; a text's
unit(t + t B). Both begin at 0, so that a run begins with the encoder as it is (CLIP-Adapter, arXiv
2110.04544, with the residual part learned whole). The frozen part is computed once for each picture and text,
so that a step costs next to nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from models.bundle import Bundle, write_bundle
from models.clip import Encoder
from models.image import ImageSpec, InvalidImage, decode_image, to_pixels
from models.precision import INT8
from models.session import open_session
from models.training import onnx_file
from models.training.clip_tuning.pairs import Batch, Batches, Pair
from models.training.config import InvalidRun

IMAGE, TEXT = "image.onnx", "text.onnx"
# The second head's matrix, by the name that the exporter gives it: what is multiplied by it are the features.
_HEAD = "head_features"
_VECTORS = "vectors"
# ln 20: cosines of `lite` lie closer together than those of a trained CLIP.
_LOGIT_SCALE = 3.0


class Adapter(nn.Module):
    """(N, D + F) of a picture's vectors and features, or (N, D) of a text's vectors → (N, D), unit rows."""

    def __init__(self, dimension: int, features: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.picture = nn.Linear(features, dimension, bias=False)
        self.text = nn.Linear(dimension, dimension, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(_LOGIT_SCALE))
        nn.init.zeros_(self.picture.weight)
        nn.init.zeros_(self.text.weight)

    def pictures(self, rows: torch.Tensor) -> torch.Tensor:
        vectors, features = rows[:, : self.dimension], rows[:, self.dimension :]
        return nn.functional.normalize(vectors + self.picture(features), dim=-1)

    def texts(self, rows: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(rows + self.text(rows), dim=-1)


class Frozen:
    """What the towers of a bundle make of pictures and texts. Raises InvalidRun for a bundle of another kind.

    Attributes:
        features: F, how many a picture has.
    """

    def __init__(self, bundle: Bundle, *, threads: int) -> None:
        self.bundle = bundle
        self._spec = ImageSpec.from_manifest(bundle.manifest["image"])
        self._encoder = Encoder.open(bundle, threads=threads)
        model = onnx.load(bundle.file(IMAGE))
        self._tensor = _features_of(model, bundle.name)
        self.features = next(
            weight.dims[0] for weight in model.graph.initializer if weight.name.startswith(_HEAD)
        )
        self._session = _with_output(model, self._tensor, threads)

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def picture(self, path: Path) -> np.ndarray:
        """float32 (D + F,). Raises InvalidRun where the picture cannot be read."""
        try:
            image = decode_image(path.read_bytes(), draft=self._spec.size)
        except (InvalidImage, OSError) as error:
            raise InvalidRun(f"{path}: {error}") from error
        pixels = to_pixels(image, self._spec)[None]
        return np.concatenate(self._session.run([_VECTORS, self._tensor], {"pixels": pixels}), axis=1)[0]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (N, D)."""
        return self._encoder.encode_texts(texts)


class FrozenBatches(Batches):
    """Batches of pairs as an adapter reads them: `pixels` float32 (N, D + F), `ids` float32 (N, D)."""

    def __init__(self, pairs: Sequence[Pair], frozen: Frozen, *, size: int, seed: int) -> None:
        super().__init__(pairs, size=size, seed=seed)
        self._frozen = frozen
        self._seen: dict[Path, torch.Tensor] = {}
        self._read: dict[str, torch.Tensor] = {}

    def make(self, pairs: Sequence[Pair]) -> Batch:
        for pair in pairs:
            if pair.picture not in self._seen:
                self._seen[pair.picture] = torch.from_numpy(self._frozen.picture(pair.picture))
            if pair.text not in self._read:
                self._read[pair.text] = torch.from_numpy(self._frozen.texts([pair.text])[0])
        texts = torch.stack([self._read[pair.text] for pair in pairs])
        pictures = torch.stack([self._seen[pair.picture] for pair in pairs])
        return Batch(pixels=pictures, ids=texts, mask=torch.ones(len(pairs), 1), texts=self.which(pairs))


def write_adapted(bundle: Bundle, adapter: Adapter, out: Path, facts: dict[str, object]) -> Bundle:
    """Write a bundle with both matrices at the end of its graphs; they are kept in fp16."""
    known = {
        name: value for name, value in bundle.manifest.items() if name not in ("format_version", "files")
    }
    known.pop("evaluation", None)
    with tempfile.TemporaryDirectory() as folder:
        # A tower in eight bits would be without the matrix.
        files = {name: path for name, path in bundle.files.items() if not name.endswith(INT8)}
        for name, linear in ((IMAGE, adapter.picture), (TEXT, adapter.text)):
            model = onnx.load(bundle.file(name))
            source = _features_of(model, bundle.name) if name == IMAGE else "vectors.before"
            _append(model, source, linear.weight.detach().numpy().T)
            files[name] = Path(folder) / name
            onnx.save(model, files[name])
        return write_bundle(out, {**known, **facts, "name": f"{bundle.name}-tuned"}, files)


def _features_of(model: onnx.ModelProto, name: str) -> str:
    """The tensor that the second head reads."""
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] == _HEAD:
            return node.input[0]
    raise InvalidRun(
        f"{name}: of encoder bundles only `lite` is fine-tuned; give the model that this one was made of"
    )


def _with_output(model: onnx.ModelProto, tensor: str, threads: int) -> ort.InferenceSession:
    model.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / IMAGE)
        return open_session(Path(folder) / IMAGE, threads=threads)


def _append(model: onnx.ModelProto, source: str, matrix: np.ndarray) -> None:
    """`vectors` become unit(vectors + `source` @ matrix)."""
    before = f"{_VECTORS}.before"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == _VECTORS:
                    names[place] = before
    weight = numpy_helper.from_array(np.ascontiguousarray(matrix.astype(np.float16)), "adapter.fp16")
    axis = numpy_helper.from_array(np.array([-1]), "adapter.axis")
    model.graph.initializer.extend([weight, axis])
    model.graph.node.extend(
        [
            helper.make_node("Cast", [weight.name], ["adapter"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", [source, "adapter"], ["adapter.change"]),
            helper.make_node("Add", [before, "adapter.change"], ["adapter.sum"]),
            helper.make_node("ReduceL2", ["adapter.sum", axis.name], ["adapter.length"], keepdims=1),
            helper.make_node("Div", ["adapter.sum", "adapter.length"], [_VECTORS]),
        ]
    )
    onnx_file.drop_notes(model)
    onnx.checker.check_model(model)
