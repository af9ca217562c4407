"""Checkpoints of cn-clip, read without cn-clip: every architecture, in every way it was written."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from chinese_clip_reference import SHAPES, Shape, encode_pictures, encode_texts, random_weights
from cn_clip_package import cn_clip
from models.training.chinese_clip.checkpoint import InvalidSource, model_of, read_weights, vit_config
from models.training.chinese_clip.model import ResNetClip, image_features, picture_size, text_features

SMALL = Shape(layers=1, text_layers=2)
FULL = {
    "ViT-B-16": ("ViT-B-16", "RoBERTa-wwm-ext-base-chinese"),
    "ViT-L-14": ("ViT-L-14", "RoBERTa-wwm-ext-base-chinese"),
    "ViT-L-14-336": ("ViT-L-14-336", "RoBERTa-wwm-ext-base-chinese"),
    "ViT-H-14": ("ViT-H-14", "RoBERTa-wwm-ext-large-chinese"),
    "RN50": ("RN50", "RBT3-chinese"),
}


def inputs(shape: Shape) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    ids = torch.randint(1, shape.vocabulary, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return torch.randn(3, 3, shape.size, shape.size), ids * mask, mask


@torch.no_grad()
def vectors(weights: dict[str, torch.Tensor], shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    model = model_of(weights)
    pixels, ids, mask = inputs(shape)
    return image_features(model, pixels), text_features(model, ids, mask)


def assert_near(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).abs().max() <= 1e-5


@pytest.mark.parametrize("name", SHAPES)
def test_every_architecture_as_written_a_second_time(name: str) -> None:
    shape = SHAPES[name]
    weights = random_weights(shape)
    pixels, ids, mask = inputs(shape)
    theirs = encode_pictures(weights, shape, pixels), encode_texts(weights, shape, ids, mask)
    assert_near(vectors(weights, shape), theirs)
    assert picture_size(model_of(weights)) == shape.size
    assert isinstance(model_of(weights), ResNetClip) == (name == "RN50")


@pytest.mark.parametrize("name", SHAPES)
def test_every_architecture_as_cn_clip_computes_it(name: str) -> None:
    shape = SHAPES[name]
    weights = random_weights(shape)
    clip = (
        cn_clip("clip.model")
        .CLIP(
            embed_dim=shape.dimension,
            image_resolution=shape.size,
            vision_layers=shape.blocks or shape.layers,
            vision_width=shape.width,
            vision_patch_size=shape.patch,
            vision_head_width=shape.head,
            vocab_size=shape.vocabulary,
            text_attention_probs_dropout_prob=0.1,
            text_hidden_act="gelu",
            text_hidden_dropout_prob=0.1,
            text_hidden_size=shape.text_width,
            text_initializer_range=0.02,
            text_intermediate_size=4 * shape.text_width,
            text_max_position_embeddings=64,
            text_num_attention_heads=shape.text_width // 64,
            text_num_hidden_layers=shape.text_layers,
            text_type_vocab_size=2,
        )
        .eval()
    )
    clip.load_state_dict(weights)
    pixels, ids, _ = inputs(shape)
    with torch.no_grad():
        image, text, _ = clip(pixels, ids)
    assert_near(vectors(weights, shape), (image, text))


@pytest.mark.parametrize("name", FULL)
def test_sizes_of_the_published_models_are_read_off_their_weights(name: str) -> None:
    """Heads are not written in a checkpoint; the sizes are those of cn-clip's own files."""
    cn_clip("clip.configuration_bert")
    vision, text = (
        json.loads((files("cn_clip") / "clip" / "model_configs" / f"{part}.json").read_text("utf-8"))
        for part in FULL[name]
    )
    if name == "RN50":
        assert (vision["vision_width"] * 32 // 64, text["text_num_attention_heads"]) == (32, 12)
        return
    width, patch, text_width = vision["vision_width"], vision["vision_patch_size"], text["text_hidden_size"]
    meta = torch.device("meta")
    weights = {
        "visual.conv1.weight": torch.empty(width, 3, patch, patch, device=meta),
        "visual.positional_embedding": torch.empty(
            (vision["image_resolution"] // patch) ** 2 + 1, width, device=meta
        ),
        "text_projection": torch.empty(text_width, vision["embed_dim"], device=meta),
        "bert.embeddings.word_embeddings.weight": torch.empty(text["vocab_size"], text_width, device=meta),
        "bert.embeddings.position_embeddings.weight": torch.empty(512, text_width, device=meta),
        "bert.embeddings.token_type_embeddings.weight": torch.empty(2, text_width, device=meta),
        "bert.encoder.layer.0.intermediate.dense.weight": torch.empty(
            text["text_intermediate_size"], text_width, device=meta
        ),
    }
    for layer in range(vision["vision_layers"]):
        place = f"visual.transformer.resblocks.{layer}.mlp.c_fc.weight"
        weights[place] = torch.empty(4 * width, width, device=meta)
    config = vit_config(weights)
    assert config.vision_config.num_attention_heads == width // vision.get("vision_head_width", 64)
    assert config.vision_config.num_hidden_layers == vision["vision_layers"]
    assert config.vision_config.image_size == vision["image_resolution"]
    assert config.text_config.num_attention_heads == text["text_num_attention_heads"]


def saved(path: Path, weights: dict[str, torch.Tensor], *, prefix: str = "module.") -> Path:
    state = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({"epoch": 3, "step": 9, "name": "a run", "state_dict": state}, path)
    return path


def test_a_published_checkpoint_is_half_precision_under_a_prefix(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    rounded = {name: value.half() if value.ndim > 1 else value for name, value in weights.items()}
    pooler = {"bert.pooler.dense.weight": torch.zeros(4, 4, dtype=torch.float16)}
    read = read_weights(saved(tmp_path / "clip.pt", rounded | pooler))
    assert {value.dtype for value in read.values()} == {torch.float32}
    exact = {name: value.float() for name, value in rounded.items()}
    assert_near(vectors(read, SMALL), vectors(exact, SMALL))


def test_a_bare_state_dict(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    torch.save(weights, tmp_path / "bare.pt")
    assert_near(vectors(read_weights(tmp_path / "bare.pt"), SMALL), vectors(weights, SMALL))


def test_weights_of_training_with_flash_attention(tmp_path: Path) -> None:
    weights = random_weights(SMALL)
    flash = dict(weights)
    for name in weights:
        if ".attn.in_proj_" in name:
            flash[name.replace("in_proj_", "Wqkv.")] = flash.pop(name)
        if ".attention.output.dense." in name:
            flash[name.replace("output.dense", "self.out_proj")] = flash.pop(name)
    for layer in range(SMALL.text_layers):
        for kind in ("weight", "bias"):
            at = f"bert.encoder.layer.{layer}.attention.self"
            parts = [flash.pop(f"{at}.{part}.{kind}") for part in ("query", "key", "value")]
            flash[f"{at}.Wqkv.{kind}"] = torch.cat(parts)
    read = read_weights(saved(tmp_path / "flash.pt", flash))
    assert_near(vectors(read, SMALL), vectors(weights, SMALL))


class Trap:
    """Executes on unpickling."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("trapped"),)


def test_what_is_no_checkpoint_is_refused_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "noise.pt").write_bytes(np.random.default_rng(0).bytes(400))
    for name in ("trap.pt", "noise.pt", "missing.pt"):
        with pytest.raises(InvalidSource, match=name):
            read_weights(tmp_path / name)
    assert not (tmp_path / "trapped").exists()
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(InvalidSource, match="not one of Chinese-CLIP"):
        read_weights(tmp_path / "other.pt")
