"""Chinese-CLIP written a second time, on the raw weights of cn-clip's checkpoints, to hold the first against.

Only PyTorch's own functions are used, and transformers' BERT for the text: nothing of models.training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import BertConfig, BertModel

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a model; `blocks` makes it a ResNet of that many blocks a stage."""

    size: int = 64
    patch: int = 16
    width: int = 128
    layers: int = 2
    head: int = 64
    blocks: Sequence[int] = ()
    text_width: int = 128
    text_layers: int = 2
    vocabulary: int = 400
    dimension: int = 128


# The published architectures, made small: what tells them apart is kept.
SHAPES = {
    "ViT-B-16": Shape(),
    "ViT-L-14": Shape(patch=14, size=56, width=192, text_layers=1),
    "ViT-L-14-336": Shape(patch=14, size=84, width=192, text_layers=1),
    "ViT-H-14": Shape(patch=14, size=56, width=160, head=80, text_width=192),
    "RN50": Shape(blocks=(1, 2, 1, 1), width=16, text_layers=1),
}


def random_weights(shape: Shape, *, seed: int = 0) -> Weights:
    """A state dict as cn-clip writes it, large enough for texts and pictures to differ much."""
    torch.manual_seed(seed)
    names = _resnet_shapes(shape) if shape.blocks else _vit_shapes(shape)
    names |= _bert_shapes(shape) | {"text_projection": (shape.text_width, shape.dimension), "logit_scale": ()}
    return {name: _values(name, sizes) for name, sizes in names.items()}


def _values(name: str, sizes: tuple[int, ...]) -> torch.Tensor:
    if name.endswith("running_var"):
        return torch.rand(sizes) + 0.5
    if "num_batches" in name:
        return torch.tensor(7)
    if len(sizes) < 2:
        about = 1.0 if name.endswith("weight") else 0.0
        return about + 0.2 * torch.randn(sizes)
    if "embedding" in name:
        return torch.randn(sizes)
    return torch.randn(sizes) / math.prod(sizes[1:]) ** 0.5


def _vit_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    width = shape.width
    names: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": ((shape.size // shape.patch) ** 2 + 1, width),
        "visual.proj": (width, shape.dimension),
        "visual.conv1.weight": (width, 3, shape.patch, shape.patch),
        **_pair("visual.ln_pre", width),
        **_pair("visual.ln_post", width),
    }
    for layer in range(shape.layers):
        block = f"visual.transformer.resblocks.{layer}"
        names |= {
            f"{block}.attn.in_proj_weight": (3 * width, width),
            f"{block}.attn.in_proj_bias": (3 * width,),
        }
        names |= _pair(f"{block}.attn.out_proj", width, width)
        names |= _pair(f"{block}.ln_1", width) | _pair(f"{block}.ln_2", width)
        names |= _pair(f"{block}.mlp.c_fc", 4 * width, width) | _pair(f"{block}.mlp.c_proj", width, 4 * width)
    return names


def _resnet_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    half, width = shape.width // 2, shape.width
    names: dict[str, tuple[int, ...]] = {}
    for place, (inner, outer) in enumerate(((3, half), (half, half), (half, width)), start=1):
        names |= {f"visual.conv{place}.weight": (outer, inner, 3, 3)} | _norm(f"visual.bn{place}", outer)
    channels = width
    for stage, count in enumerate(shape.blocks):
        inner = width * 2**stage
        for block in range(count):
            at = f"visual.layer{stage + 1}.{block}"
            names |= {
                f"{at}.conv1.weight": (inner, channels, 1, 1),
                f"{at}.conv2.weight": (inner, inner, 3, 3),
            }
            names |= {f"{at}.conv3.weight": (4 * inner, inner, 1, 1)}
            names |= _norm(f"{at}.bn1", inner) | _norm(f"{at}.bn2", inner) | _norm(f"{at}.bn3", 4 * inner)
            if block == 0:
                names |= {f"{at}.downsample.0.weight": (4 * inner, channels, 1, 1)}
                names |= _norm(f"{at}.downsample.1", 4 * inner)
            channels = 4 * inner
    names["visual.attnpool.positional_embedding"] = ((shape.size // 32) ** 2 + 1, channels)
    for part in "qkv":
        names |= _pair(f"visual.attnpool.{part}_proj", channels, channels)
    return names | _pair("visual.attnpool.c_proj", shape.dimension, channels)


def _bert_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    width = shape.text_width
    names: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (shape.vocabulary, width),
        "bert.embeddings.position_embeddings.weight": (64, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        **_pair("bert.embeddings.LayerNorm", width),
    }
    for layer in range(shape.text_layers):
        at = f"bert.encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            names |= _pair(f"{at}.attention.{part}", width, width)
        names |= _pair(f"{at}.attention.output.LayerNorm", width) | _pair(f"{at}.output.LayerNorm", width)
        names |= _pair(f"{at}.intermediate.dense", 4 * width, width)
        names |= _pair(f"{at}.output.dense", width, 4 * width)
    return names


def _pair(name: str, *sizes: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": sizes, f"{name}.bias": sizes[:1]}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


@torch.no_grad()
def encode_pictures(weights: Weights, shape: Shape, pixels: torch.Tensor) -> torch.Tensor:
    """(N, 3, size, size) → (N, D), unit rows."""
    inside = {name.removeprefix("visual."): value for name, value in weights.items()}
    features = _resnet(inside, shape, pixels) if shape.blocks else _vit(inside, shape, pixels)
    return F.normalize(features, dim=-1)


def _vit(w: Weights, shape: Shape, pixels: torch.Tensor) -> torch.Tensor:
    x = F.conv2d(pixels, w["conv1.weight"], stride=shape.patch).flatten(2).permute(2, 0, 1)
    x = torch.cat([w["class_embedding"].expand(1, x.shape[1], -1), x])
    x = _layer_norm(x + w["positional_embedding"][:, None], w, "ln_pre")
    for layer in range(shape.layers):
        at = f"transformer.resblocks.{layer}"
        y = _layer_norm(x, w, f"{at}.ln_1")
        weight, bias = w[f"{at}.attn.in_proj_weight"], w[f"{at}.attn.in_proj_bias"]
        x = x + _attention(y, y, weight.chunk(3), bias, w, f"{at}.attn.out_proj", shape.width // shape.head)
        y = _linear(_layer_norm(x, w, f"{at}.ln_2"), w, f"{at}.mlp.c_fc")
        x = x + _linear(y * torch.sigmoid(1.702 * y), w, f"{at}.mlp.c_proj")
    return _layer_norm(x[0], w, "ln_post") @ w["proj"]


def _resnet(w: Weights, shape: Shape, pixels: torch.Tensor) -> torch.Tensor:
    x = pixels
    for place in (1, 2, 3):
        stride = 2 if place == 1 else 1
        x = F.conv2d(x, w[f"conv{place}.weight"], stride=stride, padding=1)
        x = _batch_norm(x, w, f"bn{place}").relu()
    x = F.avg_pool2d(x, 2)
    for stage, count in enumerate(shape.blocks):
        for block in range(count):
            at, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            y = _batch_norm(F.conv2d(x, w[f"{at}.conv1.weight"]), w, f"{at}.bn1").relu()
            y = _batch_norm(F.conv2d(y, w[f"{at}.conv2.weight"], padding=1), w, f"{at}.bn2").relu()
            y = _batch_norm(F.conv2d(F.avg_pool2d(y, stride), w[f"{at}.conv3.weight"]), w, f"{at}.bn3")
            if block == 0:
                x = F.conv2d(F.avg_pool2d(x, stride), w[f"{at}.downsample.0.weight"])
                x = _batch_norm(x, w, f"{at}.downsample.1")
            x = (x + y).relu()
    x = x.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(0, keepdim=True), x]) + w["attnpool.positional_embedding"][:, None]
    parts = [f"attnpool.{part}_proj" for part in "qkv"]
    bias = torch.cat([w[f"{part}.bias"] for part in parts])
    matrices = [w[f"{part}.weight"] for part in parts]
    return _attention(x[:1], x, matrices, bias, w, "attnpool.c_proj", x.shape[-1] // 64)[0]


def _attention(
    x: torch.Tensor,
    context: torch.Tensor,
    matrices: Sequence[torch.Tensor],
    bias: torch.Tensor,
    w: Weights,
    out: str,
    heads: int,
) -> torch.Tensor:
    """PyTorch's own attention, as cn-clip calls it."""
    return F.multi_head_attention_forward(
        x,
        context,
        context,
        x.shape[-1],
        heads,
        None,
        bias,
        None,
        None,
        False,
        0.0,
        w[f"{out}.weight"],
        w[f"{out}.bias"],
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        **dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), matrices, strict=True)),
    )[0]


def _linear(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _layer_norm(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def _batch_norm(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    moments = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return F.batch_norm(x, *moments, w[f"{name}.weight"], w[f"{name}.bias"])


@torch.no_grad()
def encode_texts(weights: Weights, shape: Shape, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """int64 (N, T) twice → (N, D), unit rows."""
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.text_width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_width // 64,
        intermediate_size=4 * shape.text_width,
        max_position_embeddings=64,
    )
    bert = BertModel(config, add_pooling_layer=False).eval()
    inside = {name.removeprefix("bert."): w for name, w in weights.items() if name.startswith("bert.")}
    bert.load_state_dict(inside)
    first = bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    return F.normalize(first @ weights["text_projection"], dim=-1)
