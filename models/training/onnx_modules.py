"""The poets as modules to export: transformers' weights, one explicit forward pass with a key-value cache.

The models of `transformers` build masks and caches in ways that exporters stumble over from version to
version; these passes hold nothing but tensors. A test holds them against transformers, id for id.

Decoders attend by ONNX Runtime's `com.microsoft.GroupQueryAttention`, with as many groups as heads: a row's
new keys and values are written behind those that its cache holds, in place where past and present are one
buffer, and it reads as many places as it has tokens, whatever other rows have.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md

Shapes: N sequences, T new tokens, P places in a cache, S tokens of the source, H heads, W head width,
V vocabulary. A row's token i stands at place i of its cache; T is 1 where there were tokens before. Masks are
int64, 1 for a token and 0 for padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, T5ForConditionalGeneration

_BLOCKED = -1e9


@dataclass(frozen=True)
class Cache:
    """What the decoder's layers have read.

    Attributes:
        past: keys and values of each layer in turn, float32 (N, H, P, W).
        seqlens_k: int32 (N,), the place of each row's last new token.
        total_sequence_length: int32 (1,), P.
        present: keys and values as they are then, of the layers that have attended.
    """

    past: list[Tensor]
    seqlens_k: Tensor
    total_sequence_length: Tensor
    present: list[Tensor]

    def attend(self, *projected: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
        """The next layer's attention, (N, T, H * W).

        `projected` are queries, keys and values of that shape, or all three in one, (N, T, 3 * H * W);
        `bias` is (N, H, T, P).
        """
        query, key, value = projected if len(projected) == 3 else (*projected, None, None)
        past = self.past[len(self.present) :][:2]
        heads, width = past[0].shape[1], past[0].shape[3]
        inputs = (query, key, value, *past, self.seqlens_k, self.total_sequence_length)
        attended, *present = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            inputs if bias is None else (*inputs, None, None, None, bias),
            {"num_heads": heads, "kv_num_heads": heads, "scale": scale},
            dtypes=(torch.float32,) * 3,
            shapes=((*query.shape[:2], heads * width), past[0].shape, past[1].shape),
            version=1,
        )
        self.present.extend(present)
        return attended


class Gpt2Decoder(nn.Module):
    """(input_ids (N, T), position_ids (N, T), seqlens_k (N,), total_sequence_length (1,), past…) → logits
    (N, V), present…"""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.body: Any = model.transformer
        self.head = model.lm_head
        self.scale = (model.config.n_embd // model.config.n_head) ** -0.5

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        seqlens_k: Tensor,
        total_sequence_length: Tensor,
        past: list[Tensor],
    ) -> tuple[Tensor, ...]:
        cache = Cache(past, seqlens_k, total_sequence_length, [])
        # In two dimensions, as ONNX multiplies and adds a bias in one: else each product would be put into
        # shape and back by two operators more.
        read, tokens = input_ids.shape, input_ids.numel()
        hidden = (self.body.wte(input_ids) + self.body.wpe(position_ids)).view(tokens, -1)
        for block in self.body.h:
            projected = linear(block.attn.c_attn, block.ln_1(hidden)).view(*read, -1)
            attended = cache.attend(projected, scale=self.scale).view(tokens, -1)
            hidden = hidden + linear(block.attn.c_proj, attended)
            mlp = block.mlp
            hidden = hidden + linear(mlp.c_proj, mlp.act(linear(mlp.c_fc, block.ln_2(hidden))))
        return self.head(self.body.ln_f(hidden.view(*read, -1)[:, -1])), *cache.present


class T5Encoder(nn.Module):
    """(input_ids (N, S), mask (N, S)) → for each decoder layer cross key and value (N, H, S, W)."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.stack: Any = model.encoder
        self.bias = RelativeBias(model.encoder)
        self.cross = nn.ModuleList(block.layer[1].EncDecAttention for block in model.decoder.block)
        self.heads = model.config.num_heads

    def forward(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        hidden = self.stack.embed_tokens(input_ids)
        places = torch.arange(input_ids.shape[1])[None]
        bias = self.bias(places, places) + padding_bias(mask)
        for block in self.stack.block:
            attention = block.layer[0]
            normed = attention.layer_norm(hidden)
            query, key, value = project(attention.SelfAttention, normed, self.heads)
            hidden = hidden + attention.SelfAttention.o(attend(query, key, value, bias))
            hidden = block.layer[1](hidden)
        hidden = self.stack.final_layer_norm(hidden)
        keys_values: list[Tensor] = []
        for layer in self.cross:
            keys_values += [
                split_heads(layer.k(hidden), self.heads),
                split_heads(layer.v(hidden), self.heads),
            ]
        return tuple(keys_values)


class T5Decoder(nn.Module):
    """(input_ids (N, T), position_ids (N, T), seqlens_k (N,), total_sequence_length (1,), source_mask (N, S),
    past…, cross…) → logits (N, V), present…"""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.stack: Any = model.decoder
        self.bias = RelativeBias(model.decoder)
        self.head = model.lm_head
        self.heads = model.config.num_heads
        self.scale = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        seqlens_k: Tensor,
        total_sequence_length: Tensor,
        source_mask: Tensor,
        past: list[Tensor],
        cross: list[Tensor],
    ) -> tuple[Tensor, ...]:
        cache = Cache(past, seqlens_k, total_sequence_length, [])
        hidden = self.stack.embed_tokens(input_ids)
        bias = self.bias(position_ids, torch.arange(past[0].shape[2])[None])
        source_bias = padding_bias(source_mask)
        for index, block in enumerate(self.stack.block):
            attention, crossing, feed_forward = list(block.layer)
            own, normed = attention.SelfAttention, attention.layer_norm(hidden)
            attended = cache.attend(own.q(normed), own.k(normed), own.v(normed), scale=1.0, bias=bias)
            hidden = hidden + own.o(attended)
            query = split_heads(crossing.EncDecAttention.q(crossing.layer_norm(hidden)), self.heads)
            read = attend(query, cross[2 * index], cross[2 * index + 1], source_bias)
            hidden = hidden + crossing.EncDecAttention.o(read)
            hidden = feed_forward(hidden)
        hidden = self.stack.final_layer_norm(hidden[:, -1])
        return self.head(hidden * self.scale), *cache.present


def linear(layer: Any, hidden: Tensor) -> Tensor:
    """A GPT2's layer, which holds its weights transposed: (N, in) → (N, out)."""
    return torch.addmm(layer.bias, hidden, layer.weight)


def split_heads(hidden: Tensor, heads: int) -> Tensor:
    """(N, T, H * W) → (N, H, T, W)."""
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)


def project(attention: nn.Module, hidden: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value (N, H, T, W) of a T5 attention."""
    return tuple(split_heads(layer(hidden), heads) for layer in (attention.q, attention.k, attention.v))


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q kᵀ + bias) v, heads merged: (N, T, H * W)."""
    weights = (query @ key.transpose(-1, -2) + bias).softmax(dim=-1)
    return (weights @ value).transpose(1, 2).flatten(2)


def padding_bias(mask: Tensor) -> Tensor:
    """(N, S) → (N, 1, 1, S): 0 for a token, a large negative number for padding."""
    return (1.0 - mask[:, None, None, :].float()) * _BLOCKED


class RelativeBias(nn.Module):
    """T5's learned bias for the distance of keys at places (1, K) to queries at (M, T): (M, H, T, K)."""

    def __init__(self, stack: Any) -> None:
        super().__init__()
        attention = stack.block[0].layer[0].SelfAttention
        self.learned = attention.relative_attention_bias
        self.farthest = attention.relative_attention_max_distance
        # Looked up, as the logarithms of all distances would take a dozen operators in each step.
        self.buckets = attention._relative_position_bucket(
            torch.arange(-self.farthest, self.farthest + 1),
            bidirectional=not stack.is_decoder,
            num_buckets=attention.relative_attention_num_buckets,
            max_distance=self.farthest,
        )

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        distances = (keys[:, None, :] - queries[:, :, None]).clamp(-self.farthest, self.farthest)
        return self.learned(self.buckets[distances + self.farthest]).permute(0, 3, 1, 2)
