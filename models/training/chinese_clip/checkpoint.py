"""Checkpoints of the package cn-clip (`.pt`), read without it: names mapped, sizes read off the weights."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from transformers import ChineseCLIPConfig, ChineseCLIPModel, ChineseCLIPTextConfig

from models.training.chinese_clip.model import ChineseClip, ResNetClip
from models.training.chinese_clip.resnet import REDUCTION, ModifiedResNet

Weights: TypeAlias = dict[str, torch.Tensor]

_TEXT_HEAD = 64
# Written by training with FlashAttention, where the parts of one matrix have other names.
_FLASH_TEXT = re.compile(r"(bert\.encoder\.layer\.\d+\.attention)\.self\.(Wqkv|out_proj)\.(weight|bias)")
_VISION_NAMES = (
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.transformer\.resblocks\.(\d+)\.ln_", r"vision_model.encoder.layers.\1.layer_norm"),
    (r"^visual\.transformer\.resblocks\.(\d+)\.mlp\.c_fc\.", r"vision_model.encoder.layers.\1.mlp.fc1."),
    (r"^visual\.transformer\.resblocks\.(\d+)\.mlp\.c_proj\.", r"vision_model.encoder.layers.\1.mlp.fc2."),
    (
        r"^visual\.transformer\.resblocks\.(\d+)\.attn\.out_proj\.",
        r"vision_model.encoder.layers.\1.self_attn.out_proj.",
    ),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^bert\.", "text_model."),
    (r"^text_projection$", "text_projection.weight"),
)
_JOINT = re.compile(r"^visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)$")
_TRANSPOSED = ("visual.proj", "text_projection")


class InvalidSource(ValueError):
    """A source that no encoder can be made from; the message is for the command line."""


def read_weights(path: Path) -> Weights:
    """The weights of a `.pt`, in fp32, under the names that cn-clip's modules have.

    Raises InvalidSource where the file is no checkpoint of Chinese-CLIP. Nothing in the file is executed.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InvalidSource(f"{path}: not a checkpoint that PyTorch can read: {error}") from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else {}
    named = {
        name.removeprefix("module."): value.float()
        for name, value in weights.items()
        if isinstance(value, torch.Tensor) and not name.endswith("position_ids")
    }
    named = {name: value for name, value in named.items() if not name.startswith("bert.pooler.")}
    if not {"text_projection", "bert.embeddings.word_embeddings.weight"} <= named.keys():
        raise InvalidSource(f"{path}: a checkpoint, but not one of Chinese-CLIP")
    return _usual_attention(named)


def model_of(weights: Weights) -> ChineseClip:
    """The model that the weights belong to. Raises InvalidSource where some are missing or left over."""
    if "visual.attnpool.positional_embedding" in weights:
        model: ChineseClip = _new_resnet(weights)
        mapped = {_resnet_name(name): value for name, value in weights.items()}
        mapped["text_projection.weight"] = weights["text_projection"].T.contiguous()
    else:
        model = ChineseCLIPModel(vit_config(weights))
        mapped = vit_weights(weights)
    missing, left = model.load_state_dict(mapped, strict=False)
    # Counters of training, which the very first checkpoints of ResNets lack.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or left:
        raise InvalidSource(f"the checkpoint lacks {missing[:3]} and has {left[:3]} beyond what is known")
    return model.eval()


def vit_config(weights: Weights) -> ChineseCLIPConfig:
    """Sizes of both towers, as the shapes of the weights tell them."""
    width, _, patch, _ = weights["visual.conv1.weight"].shape
    grid = round((len(weights["visual.positional_embedding"]) - 1) ** 0.5)
    vision = {
        "hidden_size": width,
        "intermediate_size": weights["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _count(weights, "visual.transformer.resblocks"),
        "num_attention_heads": width // _vision_head(width),
        "patch_size": patch,
        "image_size": patch * grid,
        "projection_dim": weights["text_projection"].shape[1],
    }
    return ChineseCLIPConfig(
        text_config=text_config(weights).to_dict(),
        vision_config=vision,
        projection_dim=weights["text_projection"].shape[1],
    )


def text_config(weights: Weights) -> ChineseCLIPTextConfig:
    """Sizes of the text tower."""
    vocabulary, width = weights["bert.embeddings.word_embeddings.weight"].shape
    return ChineseCLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=weights["bert.encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=_count(weights, "bert.encoder.layer"),
        num_attention_heads=width // _TEXT_HEAD,
        max_position_embeddings=len(weights["bert.embeddings.position_embeddings.weight"]),
        type_vocab_size=len(weights["bert.embeddings.token_type_embeddings.weight"]),
    )


def vit_weights(weights: Mapping[str, torch.Tensor]) -> Weights:
    """cn-clip's names → those of `transformers.ChineseCLIPModel`."""
    mapped: Weights = {}
    for name, value in weights.items():
        if joint := _JOINT.match(name):
            layer, kind = joint.groups()
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                place = f"vision_model.encoder.layers.{layer}.self_attn.{part}_proj.{kind}"
                mapped[place] = rows.clone()
            continue
        mapped[_vit_name(name)] = value.T.contiguous() if name in _TRANSPOSED else value
    return mapped


def _vit_name(name: str) -> str:
    for pattern, replacement in _VISION_NAMES:
        new, found = re.subn(pattern, replacement, name)
        if found:
            return new
    return name


def _resnet_name(name: str) -> str:
    name = re.sub(r"^bert\.", "text_model.", name)
    return "text_projection.weight" if name == "text_projection" else name


def _new_resnet(weights: Weights) -> ResNetClip:
    tokens = len(weights["visual.attnpool.positional_embedding"])
    dimension = weights["text_projection"].shape[1]
    visual = ModifiedResNet(
        blocks=[_count(weights, f"visual.layer{stage}") for stage in range(1, 5)],
        width=weights["visual.conv3.weight"].shape[0],
        size=round((tokens - 1) ** 0.5) * REDUCTION,
        dimension=dimension,
    )
    return ResNetClip(visual, text_config(weights), dimension=dimension)


def _vision_head(width: int) -> int:
    """Width of an attention head: 64, but 80 in ViT-H/14, whose width of 1280 both would divide."""
    return 80 if width == 1280 or width % 64 else 64


def _count(weights: Weights, prefix: str) -> int:
    """How many numbered parts there are under `prefix`."""
    start = len(prefix) + 1
    numbers = {name[start:].split(".")[0] for name in weights if name.startswith(f"{prefix}.")}
    return len(numbers)


def _usual_attention(weights: Weights) -> Weights:
    """FlashAttention's names → the usual ones."""
    usual: Weights = {}
    for name, value in weights.items():
        name = re.sub(r"(^visual\..*\.attn)\.Wqkv\.(weight|bias)$", r"\1.in_proj_\2", name)
        found = _FLASH_TEXT.match(name)
        if not found:
            usual[name] = value
        elif found[2] == "out_proj":
            usual[f"{found[1]}.output.dense.{found[3]}"] = value
        else:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                usual[f"{found[1]}.self.{part}.{found[3]}"] = rows.clone()
    return usual
