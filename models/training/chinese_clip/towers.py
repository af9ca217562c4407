"""Both towers as they are exported: the weights of a Chinese-CLIP in modules that compute nothing in vain.

A vector comes from the first token alone, so the last layer of a transformer computes that token alone, and
no keys or values for it; the scale of the attention is folded into the queries' weights, as is the token type
into the positions. Tokens are the rows of one matrix throughout, so that a linear layer is one `Gemm`, its
bias included. What comes out are unit rows: projection and L2 normalisation lie inside the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import nn

from models.training.chinese_clip.model import ChineseClip, ResNetClip

_Activation: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
# Far below any score, and within fp16.
_HIDDEN = -1e4
# Rows that lie a multiple of this apart share the same few lines of a processor's first cache.
_ALIAS_BYTES = 4_096
_SPARE = 16
_ACTIVATIONS: dict[str, _Activation] = {
    "gelu": nn.functional.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": torch.relu,
}


class ImageTower(nn.Module):
    """`pixels` float32 (N, 3, size, size) → `vectors` float32 (N, D), unit rows; `spare` as in `Mlp`."""

    def __init__(self, model: ChineseClip, *, spare: bool = False) -> None:
        super().__init__()
        resnet = isinstance(model, ResNetClip)
        self.features = model.visual if resnet else VisionTransformer(model, spare=spare)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.features(pixels.to(next(self.parameters()).dtype))
        return nn.functional.normalize(features.float(), dim=-1)


class VisionTransformer(nn.Module):
    """The ViT of a `ChineseCLIPModel`: (N, 3, size, size) → (N, D), of any length."""

    def __init__(self, model: ChineseClip, *, spare: bool) -> None:
        super().__init__()
        vision = model.vision_model
        embeddings = vision.embeddings
        heads = model.config.vision_config.num_attention_heads
        activation = _ACTIVATIONS[model.config.vision_config.hidden_act]
        places = embeddings.position_embedding.weight.detach()
        self.patches = embeddings.patch_embedding
        # The first token is the same in every picture.
        self.first = nn.Parameter((embeddings.class_embedding.detach() + places[0])[None, None])
        self.places = nn.Parameter(places[1:].clone())
        self.before, self.after = vision.pre_layrnorm, vision.post_layernorm
        count = len(vision.encoder.layers)
        self.layers = nn.ModuleList(
            VisionLayer(layer, heads, activation, spare=spare, last=place == count - 1)
            for place, layer in enumerate(vision.encoder.layers)
        )
        self.projection = model.visual_projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patches(pixels).flatten(2).transpose(1, 2) + self.places
        tokens = x.shape[1] + 1
        x = self.before(torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1)).flatten(0, 1)
        for layer in self.layers:
            x = layer(x, tokens)
        return self.projection(self.after(x))


class VisionLayer(nn.Module):
    """Attention and MLP, each behind its norm: (N · T, C) → the same; the last layer gives the first tokens
    alone, (N, C)."""

    def __init__(
        self, layer: nn.Module, heads: int, activation: _Activation, *, spare: bool, last: bool
    ) -> None:
        super().__init__()
        old = layer.self_attn
        kind = FirstAttention if last else Attention
        self.attention = kind(old.q_proj, old.k_proj, old.v_proj, old.out_proj, heads)
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.mlp = Mlp(layer.mlp.fc1, layer.mlp.fc2, activation, spare=spare)

    def forward(self, x: torch.Tensor, tokens: int) -> torch.Tensor:
        x = self.attention.asking(x, tokens) + self.attention(self.norm1(x), tokens)
        return x + self.mlp(self.norm2(x))


class TextTower(nn.Module):
    """`ids`, `mask` int64 (N, T) → `vectors` float32 (N, D), unit rows: a BERT; `spare` as in `Mlp`."""

    def __init__(self, model: ChineseClip, *, spare: bool = False) -> None:
        super().__init__()
        text = model.text_model
        embeddings = text.embeddings
        activation = _ACTIVATIONS[text.config.hidden_act]
        self.words = embeddings.word_embeddings
        # All tokens are of the first type.
        places = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        self.places = nn.Parameter(places.detach().clone())
        self.norm = embeddings.LayerNorm
        count = len(text.encoder.layer)
        self.layers = nn.ModuleList(
            TextLayer(
                layer, text.config.num_attention_heads, activation, spare=spare, last=place == count - 1
            )
            for place, layer in enumerate(text.encoder.layer)
        )
        self.projection = model.text_projection

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        tokens = ids.shape[1]
        x = self.norm(self.words(ids) + self.places[:tokens]).flatten(0, 1)
        hidden = (1 - mask[:, None, None].to(x.dtype)) * _HIDDEN
        for layer in self.layers:
            x = layer(x, tokens, hidden)
        return nn.functional.normalize(self.projection(x).float(), dim=-1)


class TextLayer(nn.Module):
    """Attention and MLP, each in front of its norm: (N · T, C) → the same; the last layer gives the first
    tokens alone, (N, C)."""

    def __init__(
        self, layer: nn.Module, heads: int, activation: _Activation, *, spare: bool, last: bool
    ) -> None:
        super().__init__()
        old, self.norm1 = layer.attention.self, layer.attention.output.LayerNorm
        kind = FirstAttention if last else Attention
        self.attention = kind(old.query, old.key, old.value, layer.attention.output.dense, heads)
        self.mlp = Mlp(layer.intermediate.dense, layer.output.dense, activation, spare=spare)
        self.norm2 = layer.output.LayerNorm

    def forward(self, x: torch.Tensor, tokens: int, hidden: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.attention.asking(x, tokens) + self.attention(x, tokens, hidden))
        return self.norm2(x + self.mlp(x))


class Mlp(nn.Module):
    """Two linear layers; `spare` hidden units that stay 0 keep rows apart in a processor's cache.

    With 3,072 hidden units every row of fp32 begins 12 KiB after the one before, and a product that reads a
    dozen rows at once finds its cache too small: 16 units more make the second product an eighth faster.
    """

    def __init__(self, wide: nn.Linear, narrow: nn.Linear, activation: _Activation, *, spare: bool) -> None:
        super().__init__()
        aliased = wide.out_features * 4 % _ALIAS_BYTES == 0
        self.wide, self.narrow = _with_spare(wide, narrow) if spare and aliased else (wide, narrow)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(self.activation(self.wide(x)))


class Attention(nn.Module):
    """Attention of all tokens to all: (N · T, C) → the same; `hidden` (N, 1, 1, T) is added to the scores."""

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Linear, heads: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = _scaled(query, (query.out_features // heads) ** -0.5)
        self.key, self.value, self.out = key, value, out

    @staticmethod
    def asking(x: torch.Tensor, tokens: int) -> torch.Tensor:
        """The rows of the tokens that something is computed for."""
        return x

    def forward(self, x: torch.Tensor, tokens: int, hidden: torch.Tensor | None = None) -> torch.Tensor:
        queries, keys, values = (
            part.unflatten(0, (-1, tokens)).unflatten(2, (self.heads, -1))
            for part in (self.query(x), self.key(x), self.value(x))
        )
        scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1)
        if hidden is not None:
            scores = scores + hidden
        seen = scores.softmax(-1) @ values.transpose(1, 2)
        return self.out(seen.transpose(1, 2).flatten(2).flatten(0, 1))


class FirstAttention(nn.Module):
    """Attention of the first token to all: (N · T, C) → (N, C).

    There is one query, so keys and values need not be made: their matrices are applied to the query and to
    what it attends to, q · (W x) = (q W) · x. The keys' bias adds the same to every score, hence nothing.
    """

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Linear, heads: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = _scaled(query, (query.out_features // heads) ** -0.5)
        # (H, C / H, C) and (H, C, C / H)
        self.key = nn.Parameter(key.weight.detach().unflatten(0, (heads, -1)).clone())
        self.value = nn.Parameter(value.weight.detach().unflatten(0, (heads, -1)).mT.contiguous())
        self.bias, self.out = nn.Parameter(value.bias.detach().clone()), out

    @staticmethod
    def asking(x: torch.Tensor, tokens: int) -> torch.Tensor:
        """The rows of the tokens that something is computed for."""
        return x.unflatten(0, (-1, tokens))[:, 0]

    def forward(self, x: torch.Tensor, tokens: int, hidden: torch.Tensor | None = None) -> torch.Tensor:
        queries = self.query(self.asking(x, tokens)).unflatten(1, (self.heads, -1)).transpose(0, 1)
        x = x.unflatten(0, (-1, tokens))
        scores = (queries @ self.key).transpose(0, 1) @ x.mT
        if hidden is not None:
            scores = scores + hidden[:, 0]
        seen = (scores.softmax(-1) @ x).transpose(0, 1)
        return self.out((seen @ self.value).transpose(0, 1).flatten(1) + self.bias)


@torch.no_grad()
def _scaled(linear: nn.Linear, factor: float) -> nn.Linear:
    scaled = nn.Linear(linear.in_features, linear.out_features)
    scaled.weight.copy_(linear.weight * factor)
    scaled.bias.copy_(linear.bias * factor)
    return scaled


@torch.no_grad()
def _with_spare(wide: nn.Linear, narrow: nn.Linear) -> tuple[nn.Linear, nn.Linear]:
    """The two layers with _SPARE units between them more; every activation makes 0 of 0."""
    pad = nn.functional.pad
    wider = nn.Linear(wide.in_features, wide.out_features + _SPARE)
    wider.weight.copy_(pad(wide.weight, (0, 0, 0, _SPARE)))
    wider.bias.copy_(pad(wide.bias, (0, _SPARE)))
    longer = nn.Linear(narrow.in_features + _SPARE, narrow.out_features)
    longer.weight.copy_(pad(narrow.weight, (0, _SPARE)))
    longer.bias.copy_(narrow.bias)
    return wider, longer
