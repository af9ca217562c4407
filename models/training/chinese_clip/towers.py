"""Both towers as they are exported: the weights of a Chinese-CLIP in modules that compute nothing in vain.

A vector comes from the first token alone, so the last layer of a transformer computes that token alone; the
scale of the attention is folded into the queries' weights, as is the token type into the positions. What
comes out are unit rows: projection and L2 normalisation lie inside the graph.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from models.training.chinese_clip.model import ChineseClip, ResNetClip

# Far below any score, and within fp16.
_HIDDEN = -1e4
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": nn.functional.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": torch.relu,
}


class ImageTower(nn.Module):
    """`pixels` float32 (N, 3, size, size) → `vectors` float32 (N, D), unit rows."""

    def __init__(self, model: ChineseClip) -> None:
        super().__init__()
        self.features = model.visual if isinstance(model, ResNetClip) else VisionTransformer(model)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.features(pixels.to(next(self.parameters()).dtype))
        return nn.functional.normalize(features.float(), dim=-1)


class VisionTransformer(nn.Module):
    """The ViT of a `ChineseCLIPModel`: (N, 3, size, size) → (N, D), of any length."""

    def __init__(self, model: ChineseClip) -> None:
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
            VisionLayer(layer, heads, activation, last=place == count - 1)
            for place, layer in enumerate(vision.encoder.layers)
        )
        self.projection = model.visual_projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patches(pixels).flatten(2).transpose(1, 2) + self.places
        x = self.before(torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1))
        for layer in self.layers:
            x = layer(x)
        return self.projection(self.after(x[:, 0]))


class VisionLayer(nn.Module):
    """Attention and MLP, each behind its norm; the last layer gives the first token alone, (N, 1, C)."""

    def __init__(
        self, layer: nn.Module, heads: int, activation: Callable[[torch.Tensor], torch.Tensor], *, last: bool
    ) -> None:
        super().__init__()
        old = layer.self_attn
        self.attention = Attention(old.q_proj, old.k_proj, old.v_proj, old.out_proj, heads)
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.wide, self.narrow = layer.mlp.fc1, layer.mlp.fc2
        self.activation = activation
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm1(x)
        if self.last:
            x = x[:, :1] + self.attention(normed[:, :1], normed)
        else:
            x = x + self.attention(normed, normed)
        return x + self.narrow(self.activation(self.wide(self.norm2(x))))


class TextTower(nn.Module):
    """`ids`, `mask` int64 (N, T) → `vectors` float32 (N, D), unit rows: a BERT."""

    def __init__(self, model: ChineseClip) -> None:
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
            TextLayer(layer, text.config.num_attention_heads, activation, last=place == count - 1)
            for place, layer in enumerate(text.encoder.layer)
        )
        self.projection = model.text_projection

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words(ids) + self.places[: ids.shape[1]])
        hidden = (1 - mask[:, None, None].to(x.dtype)) * _HIDDEN
        for layer in self.layers:
            x = layer(x, hidden)
        return nn.functional.normalize(self.projection(x[:, 0]).float(), dim=-1)


class TextLayer(nn.Module):
    """Attention and MLP, each in front of its norm; the last layer gives the first token alone, (N, 1, C)."""

    def __init__(
        self, layer: nn.Module, heads: int, activation: Callable[[torch.Tensor], torch.Tensor], *, last: bool
    ) -> None:
        super().__init__()
        old, self.norm1 = layer.attention.self, layer.attention.output.LayerNorm
        self.attention = Attention(old.query, old.key, old.value, layer.attention.output.dense, heads)
        self.wide, self.narrow = layer.intermediate.dense, layer.output.dense
        self.norm2 = layer.output.LayerNorm
        self.activation = activation
        self.last = last

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        queries = x[:, :1] if self.last else x
        x = self.norm1(queries + self.attention(queries, x, hidden))
        return self.norm2(x + self.narrow(self.activation(self.wide(x))))


class Attention(nn.Module):
    """Attention of (N, Q, C) to (N, T, C); `hidden` (N, 1, 1, T) is added to the scores."""

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Linear, heads: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.query = _scaled(query, (query.out_features // heads) ** -0.5)
        self.key, self.value, self.out = key, value, out

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        queries, keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(context), self.value(context))
        )
        scores = queries @ keys.transpose(2, 3)
        if hidden is not None:
            scores = scores + hidden
        return self.out((scores.softmax(-1) @ values).transpose(1, 2).flatten(2))


def _scaled(linear: nn.Linear, factor: float) -> nn.Linear:
    scaled = nn.Linear(linear.in_features, linear.out_features)
    with torch.no_grad():
        scaled.weight.copy_(linear.weight * factor)
        scaled.bias.copy_(linear.bias * factor)
    return scaled
