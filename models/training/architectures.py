"""The two poets as transformers models, small enough to train on a laptop and to ship."""

from __future__ import annotations

import math

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, T5Config, T5ForConditionalGeneration

from models.tokenizer import CharacterTokenizer

HEAD = 64


def new_model(arch: str, tokenizer: CharacterTokenizer, *, d_model: int, layers: int) -> PreTrainedModel:
    """A randomly initialised `t5` or `gpt2` of width `d_model`; a T5 has `layers` in each half."""
    return _new_gpt2(tokenizer, d_model, layers) if arch == "gpt2" else _new_t5(tokenizer, d_model, layers)


def _new_gpt2(tokenizer: CharacterTokenizer, d_model: int, layers: int) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=128,
        n_embd=d_model,
        n_layer=layers,
        n_head=d_model // HEAD,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.sep_id,
        pad_token_id=tokenizer.pad_id,
    )
    # On short sequences and a CPU, twice as fast backwards as the fused kernel; and it shows where it looks.
    config._attn_implementation = "eager"
    return GPT2LMHeadModel(config)


def _new_t5(tokenizer: CharacterTokenizer, d_model: int, layers: int) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=d_model,
        d_kv=HEAD,
        num_heads=d_model // HEAD,
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
    # Attention as for GPT2.
    config._attn_implementation = "eager"
    model = T5ForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        begin_anew(name, parameter, layers)
    return model


def is_t5_query(name: str) -> bool:
    """Whether a weight of this name makes T5's queries, which are small: see `models.training.optimizers`."""
    return name.endswith("Attention.q.weight")


def begin_anew(name: str, parameter: torch.nn.Parameter, layers: int) -> None:
    """GPT2's initial weights: deviation 0.02, less where a branch joins the residual stream and for queries.

    T5's own (embeddings of deviation 1, outputs scaled down) are made for Adafactor.
    """
    if parameter.dim() == 1:
        torch.nn.init.ones_(parameter)
        return
    std = 0.02
    if name.endswith((".o.weight", ".wo.weight")):
        std /= math.sqrt(2 * layers)
    elif is_t5_query(name):
        std /= math.sqrt(HEAD)
    torch.nn.init.normal_(parameter, std=std)
