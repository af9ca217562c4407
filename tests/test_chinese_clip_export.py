"""Chinese-CLIP's towers in ONNX Runtime against the same weights in PyTorch, for every architecture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from chinese_clip_reference import SHAPES, Shape, encode_pictures, encode_texts, random_weights
from models.training.chinese_clip.checkpoint import InvalidSource, model_of
from models.training.chinese_clip.export import TOWERS, export_towers
from models.training.chinese_clip.parity import (
    BATCHES,
    check,
    measure,
    overlap,
    random_pictures,
    random_texts,
)
from models.training.chinese_clip.quantisation import quantise
from models.training.parity import ParityError


@pytest.fixture(scope="module", params=SHAPES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Name, raw weights, shape, model and folder of each architecture, exported in fp32."""
    shape = SHAPES[request.param]
    weights = random_weights(shape)
    model = model_of(weights)
    folder = tmp_path_factory.mktemp(request.param)
    export_towers(model, folder)
    return request.param, weights, shape, model, folder


def test_fp32_equals_pytorch_in_every_batch(exported) -> None:
    *_, model, folder = exported
    figures = measure(model, folder, batches=BATCHES)
    check(figures, "fp32")
    assert figures["image"]["difference"] <= 1e-5
    assert figures["text"]["difference"] <= 1e-5


def test_towers_equal_the_architecture_written_a_second_time(exported) -> None:
    """From cn-clip's raw weights to ONNX Runtime's vectors, past all mapping of names."""
    _, weights, shape, model, folder = exported
    random = torch.Generator().manual_seed(1)
    pictures, texts = random_pictures(model, 3, random), random_texts(model, 3, random)
    image, text = (ort.InferenceSession(str(folder / name)) for name in TOWERS)
    (ours,) = image.run(None, {"pixels": pictures["pixels"].numpy()})
    np.testing.assert_allclose(ours, encode_pictures(weights, shape, pictures["pixels"]), atol=1e-5)
    (ours,) = text.run(None, {name: value.numpy() for name, value in texts.items()})
    np.testing.assert_allclose(ours, encode_texts(weights, shape, texts["ids"], texts["mask"]), atol=1e-5)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_int8_stays_near(exported, tmp_path: Path) -> None:
    name, _, _, model, folder = exported
    pixels = random_pictures(model, 12, torch.Generator().manual_seed(2))["pixels"].numpy()
    for tower in TOWERS:
        static = name == "RN50" and tower == "image.onnx"
        quantise(folder / tower, tmp_path / tower, pixels=list(pixels) if static else ())
    figures = measure(model, tmp_path)
    check(figures, "int8")
    kinds = {node.op_type for node in onnx.load(tmp_path / "image.onnx").graph.node}
    assert kinds & {"MatMulInteger", "QuantizeLinear"}


def test_int8_of_a_tower_whose_weights_lie_in_a_file_of_their_own(exported, tmp_path: Path) -> None:
    *_, model, folder = exported
    (tmp_path / "large").mkdir()
    for tower in TOWERS:
        large = tmp_path / "large" / tower
        onnx.save(onnx.load(folder / tower), large, save_as_external_data=True, location=f"{tower}.data")
        quantise(large, tmp_path / tower, external=True)
        assert (tmp_path / f"{tower}.data").exists()
    check(measure(model, tmp_path, batches=[2]), "int8")


def test_graphs_name_no_place_of_the_machine(exported) -> None:
    folder = exported[-1]
    for name in TOWERS:
        content = (folder / name).read_bytes()
        assert not re.search(rb"/[\w./-]+\.py\b", content)
        assert str(folder).encode() not in content


@pytest.mark.parametrize("name", ["ViT-B-16", "RN50"])
def test_fp16_with_weights_in_a_file_of_their_own(name: str, tmp_path: Path) -> None:
    model = model_of(random_weights(SHAPES[name]))
    files = export_towers(model, tmp_path, precision="fp16", largest=1_000)
    assert set(files) == {"image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data"}
    check(measure(model, tmp_path), "fp16")
    inputs = ort.InferenceSession(str(tmp_path / "image.onnx")).get_inputs()
    assert [found.type for found in inputs] == ["tensor(float)"]


@pytest.mark.parametrize(("opset", "precision"), [(20, "fp32"), (21, "fp16"), (21, "int8")])
def test_another_opset(opset: int, precision: str, tmp_path: Path) -> None:
    model = model_of(random_weights(SHAPES["ViT-B-16"]))
    export_towers(model, tmp_path, precision=precision, opset=opset)
    for tower in TOWERS:
        if precision == "int8":
            quantise(tmp_path / tower, tmp_path / tower)
        versions = {entry.domain: entry.version for entry in onnx.load(tmp_path / tower).opset_import}
        assert versions[""] == opset
    check(measure(model, tmp_path, batches=[3]), precision)


def test_an_opset_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSource, match="opset 17: 18 is the least"):
        export_towers(model_of(random_weights(Shape())), tmp_path, opset=17)
    assert not list(tmp_path.iterdir())


def test_spare_hidden_units_change_nothing(tmp_path: Path) -> None:
    """1,024 hidden units make rows of 4 KiB in fp32, so there are 16 more of them."""
    model = model_of(random_weights(Shape(width=256, text_width=256, layers=2, text_layers=2)))
    export_towers(model, tmp_path)
    for tower in TOWERS:
        weights = onnx.load(tmp_path / tower).graph.initializer
        assert sum(1_040 in weight.dims for weight in weights) == 6
        assert not any(1_024 in weight.dims for weight in weights)
    check(measure(model, tmp_path, batches=[1, 3]), "fp32")


def test_a_wrong_tower_is_noticed(exported) -> None:
    _, _, shape, _, folder = exported
    with pytest.raises(ParityError, match="tower in fp32"):
        check(measure(model_of(random_weights(shape, seed=1)), folder, batches=[2]), "fp32")


def test_weights_that_are_missing_or_left_over_are_refused() -> None:
    weights = random_weights(Shape())
    lacking = {name: value for name, value in weights.items() if "ln_post" not in name}
    with pytest.raises(InvalidSource, match="post_layernorm"):
        model_of(lacking)
    with pytest.raises(InvalidSource, match="surplus"):
        model_of({**weights, "surplus": torch.zeros(1)})


def test_int8_finds_the_keywords_that_fp32_finds(exported, tmp_path: Path) -> None:
    """The best 8 of 6,800 keywords, for a hundred texts and a hundred pictures.

    Vectors of random weights lie in a narrow cone (cosines of 0.9), so near-ties are many more than in life.
    """
    name, _, shape, model, folder = exported
    if name == "RN50":
        pytest.skip("its text tower is like the others, and at random weights its pictures are all alike")
    for tower in TOWERS:
        quantise(folder / tower, tmp_path / tower)
    random = np.random.default_rng(0)
    keywords = random.integers(5, shape.vocabulary, (6_800, 4))
    phrases = np.concatenate([keywords[:100], random.integers(5, shape.vocabulary, (100, 2))], axis=1)
    pixels = random_pictures(model, 100, torch.Generator().manual_seed(5))["pixels"].numpy()
    found = []
    for place in (tmp_path, folder):
        image, text = (ort.InferenceSession(str(place / tower)) for tower in TOWERS)
        queries = np.concatenate([encoded(text, phrases), image.run(None, {"pixels": pixels})[0]])
        found.append((encoded(text, keywords), queries))
    (ours, our_queries), (theirs, their_queries) = found
    assert overlap(ours, theirs, (our_queries, their_queries)) >= 0.9


def encoded(session: ort.InferenceSession, rows: np.ndarray) -> np.ndarray:
    batches = np.array_split(rows, max(1, len(rows) // 200))
    return np.concatenate(
        [session.run(None, {"ids": batch, "mask": np.ones_like(batch)})[0] for batch in batches]
    )
