"""What is minimised: nats per character, and for a while how far attention is from the keywords.

A small poet left alone does not learn to copy its keywords: after 160,000 poems it used 4 to 8 % of them.
Two heads of two layers are therefore told where to look: before a keyword's character is written, at that
character in the prompt. With attention there, copying itself is learned within minutes, and the guidance is
faded out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from models.training.dataset import IGNORED, Batch

# Rows of the output layer that are computed together: few enough to stay in a processor's cache.
_ROWS = 256
_LEAST_ATTENTION = 1e-6


class _OutputLoss(torch.autograd.Function):
    """Cross entropies of `hidden @ matrix.T`, each times its share, summed in pieces.

    The gradients are made on the way. The logits of a batch, by far its largest tensor, are never held whole.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, matrix: Tensor, labels: Tensor, shares: Tensor, dtype: torch.dtype
    ) -> Tensor:
        half, output = hidden.to(dtype), matrix.to(dtype)
        hidden_gradient, matrix_gradient = torch.empty_like(half), torch.zeros_like(matrix)
        total = torch.zeros((), device=hidden.device)
        for start in range(0, len(labels), _ROWS):
            rows = slice(start, start + _ROWS)
            probabilities = (half[rows] @ output.T).float().softmax(dim=-1)
            own = (torch.arange(len(probabilities), device=hidden.device), labels[rows])
            total -= (probabilities[own].clamp_min(1e-30).log() * shares[rows]).sum()
            probabilities[own] -= 1
            change = (probabilities * shares[rows, None]).to(dtype)
            hidden_gradient[rows] = change @ output
            matrix_gradient += change.T @ half[rows]
        ctx.save_for_backward(hidden_gradient.to(hidden.dtype), matrix_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, matrix_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], matrix_gradient * gradients[0], None, None, None


def training_loss(
    model: PreTrainedModel, batch: Batch, *, keyword_weight: float, guidance: float, auxiliary: float = 0.0
) -> Tensor:
    """Nats per token, keywords' characters counted `keyword_weight` times, and `guidance` times the other.

    `auxiliary` is the share of the loss that goes to the labels that the batch names for it (0.1 in the
    original work: keywords that were masked in the input, and ends of lines).
    """
    hidden, attentions = _hidden(model, batch, attentions=guidance > 0)
    written = batch.labels != IGNORED
    weights = _shares(1 + (keyword_weight - 1) * batch.copied[written].float())
    if auxiliary > 0:
        named = batch.auxiliary[written].float()
        weights = (1 - auxiliary) * weights + auxiliary * _shares(named)
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    with torch.autocast(kind, enabled=False):
        loss = _OutputLoss.apply(hidden[written], model.lm_head.weight, batch.labels[written], weights, dtype)
        if guidance > 0 and len(batch.copies):
            loss = loss + guidance * _distraction(model, attentions, batch.copies)
    return loss


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.sum().clamp_min(1)


@torch.no_grad()
def nats(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Of each written token: negative log likelihood, whether it is predicted first, whether a keyword's."""
    hidden, _ = _hidden(model, batch)
    written = batch.labels != IGNORED
    labels = batch.labels[written]
    logits = model.lm_head(hidden[written]).float()
    losses = F.cross_entropy(logits, labels, reduction="none")
    return losses, logits.argmax(dim=-1) == labels, batch.copied[written]


def guided_layers(model: PreTrainedModel) -> list[int]:
    """A T5 decoder's last two layers; of a GPT2 the two after the middle: a copy needs layers before it."""
    if model.config.model_type == "t5":
        return list(range(model.config.num_decoder_layers))[-2:]
    return list(range(model.config.n_layer))[model.config.n_layer // 2 :][:2]


def guided_heads(model: PreTrainedModel) -> int:
    """How many heads of these layers, the first ones, are told where to look."""
    return min(2, model.config.num_attention_heads)


def _hidden(
    model: PreTrainedModel, batch: Batch, *, attentions: bool = False
) -> tuple[Tensor, Sequence[Tensor]]:
    """What the output layer reads, (N, T, D), and each layer's attention to the source, (N, H, T, S)."""
    if model.config.model_type == "gpt2":
        # Padding is on the right and attention is causal: no mask is needed.
        state = model.transformer(input_ids=batch.input_ids, use_cache=False, output_attentions=attentions)
        return state.last_hidden_state, state.attentions or ()
    source = model.encoder(input_ids=batch.input_ids, attention_mask=batch.mask).last_hidden_state
    begun = F.pad(batch.labels[:, :-1], (1, 0), value=model.config.decoder_start_token_id)
    state = model.decoder(
        input_ids=begun.masked_fill(begun == IGNORED, model.config.pad_token_id),
        encoder_hidden_states=source,
        encoder_attention_mask=batch.mask,
        use_cache=False,
        output_attentions=attentions,
    )
    hidden = state.last_hidden_state
    if model.config.scale_decoder_outputs:
        hidden = hidden * model.config.d_model**-0.5
    return hidden, state.cross_attentions or ()


def _distraction(model: PreTrainedModel, attentions: Sequence[Tensor], copies: Tensor) -> Tensor:
    """Mean -log of the attention that the guided heads give to the keyword's own place."""
    row, place, source = copies[:, :, None].unbind(dim=1)
    heads = torch.arange(guided_heads(model), device=copies.device)[None]
    given = torch.stack([attentions[layer][row, heads, place, source] for layer in guided_layers(model)])
    return -given.float().clamp_min(_LEAST_ATTENTION).log().mean()
