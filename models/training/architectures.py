"""The two poets as transformers models, small enough to be trained on a laptop and shipped in a repository."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, T5Config, T5ForConditionalGeneration

from models.tokenizer import CharacterTokenizer

IGNORED = -100
_HEAD = 64


def new_model(arch: str, tokenizer: CharacterTokenizer, *, d_model: int, layers: int) -> PreTrainedModel:
    """A randomly initialised `t5` or `gpt2` of width `d_model`; a T5 has `layers` in each half."""
    return _new_gpt2(tokenizer, d_model, layers) if arch == "gpt2" else _new_t5(tokenizer, d_model, layers)


def loss_of(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Mean negative log likelihood (nats) per written token.

    `inputs` holds int64 tensors (N, T): `input_ids`, `attention_mask`, and `labels` with IGNORED where
    nothing is to be learned.
    """
    if isinstance(model, T5ForConditionalGeneration):
        return model(**inputs).loss
    # Sequences are padded on the right and attention is causal: no mask is needed. The output layer is
    # the dearest one, so it sees the written tokens alone.
    hidden = model.transformer(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
    labels = inputs["labels"][:, 1:]
    written = labels != IGNORED
    return F.cross_entropy(model.lm_head(hidden[written]), labels[written])


def _new_gpt2(tokenizer: CharacterTokenizer, d_model: int, layers: int) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=128,
        n_embd=d_model,
        n_layer=layers,
        n_head=d_model // _HEAD,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.sep_id,
        pad_token_id=tokenizer.pad_id,
        # On short sequences and a CPU, twice as fast backwards as the fused kernel.
        attn_implementation="eager",
    )
    return GPT2LMHeadModel(config)


def _new_t5(tokenizer: CharacterTokenizer, d_model: int, layers: int) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=d_model,
        d_kv=_HEAD,
        num_heads=d_model // _HEAD,
        d_ff=4 * d_model,
        num_layers=layers,
        num_decoder_layers=layers,
        dropout_rate=0.0,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.pad_id,
        scale_decoder_outputs=False,
    )
    model = T5ForConditionalGeneration(config)
    # T5's own start (deviation 1, outputs scaled down) is made for Adafactor; AdamW needs hundreds of steps
    # to move such embeddings. GPT2's start learns at once.
    torch.nn.init.normal_(model.shared.weight, std=0.05)
    return model
