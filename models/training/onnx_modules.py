"""The poets as modules to export: transformers' weights, one explicit forward pass with a key-value cache.

The models of `transformers` build masks and caches in ways that exporters stumble over from version to
version; these passes hold nothing but tensors. A test holds them against transformers, id for id.

Shapes: N sequences, T new tokens, P tokens in the cache, S tokens of the source, H heads, W head width,
V vocabulary. Masks are int64, 1 for a token and 0 for padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel, T5ForConditionalGeneration

_BLOCKED = -1e9


class Gpt2Decoder(nn.Module):
    """(input_ids (N, T), position_ids (N, T), mask (N, P + T), past…) → logits (N, V), present…"""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.body: Any = model.transformer
        self.head = model.lm_head
        self.heads = model.config.n_head

    def forward(
        self, input_ids: Tensor, position_ids: Tensor, mask: Tensor, past: list[Tensor]
    ) -> tuple[Tensor, ...]:
        hidden = self.body.wte(input_ids) + self.body.wpe(position_ids)
        bias = causal_bias(mask, input_ids.shape[1])
        present: list[Tensor] = []
        for index, block in enumerate(self.body.h):
            query, key, value = block.attn.c_attn(block.ln_1(hidden)).chunk(3, dim=-1)
            key = torch.cat([past[2 * index], split_heads(key, self.heads)], dim=2)
            value = torch.cat([past[2 * index + 1], split_heads(value, self.heads)], dim=2)
            present += [key, value]
            query = split_heads(query, self.heads) * key.shape[-1] ** -0.5
            hidden = hidden + block.attn.c_proj(attend(query, key, value, bias))
            hidden = hidden + block.mlp(block.ln_2(hidden))
        return self.head(self.body.ln_f(hidden[:, -1])), *present


class T5Encoder(nn.Module):
    """(input_ids (N, S), mask (N, S)) → for each decoder layer cross key and value (N, H, S, W)."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.stack: Any = model.encoder
        self.cross = nn.ModuleList(block.layer[1].EncDecAttention for block in model.decoder.block)
        self.heads = model.config.num_heads

    def forward(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        hidden = self.stack.embed_tokens(input_ids)
        places = torch.arange(input_ids.shape[1])
        bias = relative_bias(self.stack, places, places) + padding_bias(mask)
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
    """(input_ids (N, T), mask (N, P + T), source_mask (N, S), past…, cross…) → logits (N, V), present…"""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.stack: Any = model.decoder
        self.head = model.lm_head
        self.heads = model.config.num_heads
        self.scale = model.config.d_model**-0.5 if model.config.scale_decoder_outputs else 1.0

    def forward(
        self, input_ids: Tensor, mask: Tensor, source_mask: Tensor, past: list[Tensor], cross: list[Tensor]
    ) -> tuple[Tensor, ...]:
        hidden = self.stack.embed_tokens(input_ids)
        places = torch.arange(mask.shape[1])
        new = places[mask.shape[1] - input_ids.shape[1] :]
        bias = relative_bias(self.stack, new, places) + causal_bias(mask, input_ids.shape[1])
        source_bias = padding_bias(source_mask)
        present: list[Tensor] = []
        for index, block in enumerate(self.stack.block):
            attention, crossing, feed_forward = list(block.layer)
            query, key, value = project(attention.SelfAttention, attention.layer_norm(hidden), self.heads)
            key = torch.cat([past[2 * index], key], dim=2)
            value = torch.cat([past[2 * index + 1], value], dim=2)
            present += [key, value]
            hidden = hidden + attention.SelfAttention.o(attend(query, key, value, bias))
            query = split_heads(crossing.EncDecAttention.q(crossing.layer_norm(hidden)), self.heads)
            read = attend(query, cross[2 * index], cross[2 * index + 1], source_bias)
            hidden = hidden + crossing.EncDecAttention.o(read)
            hidden = feed_forward(hidden)
        hidden = self.stack.final_layer_norm(hidden[:, -1])
        return self.head(hidden * self.scale), *present


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


def causal_bias(mask: Tensor, new: int) -> Tensor:
    """(N, P + T) → (N, 1, T, P + T): a new token sees the cache, itself and the new ones before it."""
    places = torch.arange(mask.shape[1])
    later = places[None, :] > places[mask.shape[1] - new :, None]
    return padding_bias(mask) + later.float()[None, None] * _BLOCKED


def relative_bias(stack: nn.Module, queries: Tensor, keys: Tensor) -> Tensor:
    """T5's learned bias for the distance of keys to queries: (1, H, T, P + T)."""
    attention = stack.block[0].layer[0].SelfAttention
    buckets = attention._relative_position_bucket(
        keys[None, :] - queries[:, None],
        bidirectional=not stack.is_decoder,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    return attention.relative_attention_bias(buckets).permute(2, 0, 1).unsqueeze(0)
