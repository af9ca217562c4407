"""Reading what others trained: a Hugging Face folder of a T5 or GPT2 with a character vocabulary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import GPT2LMHeadModel, PreTrainedModel, T5ForConditionalGeneration

from models.bundle import sha256_of
from models.tokenizer import EOS, CharacterTokenizer

_MODELS = {"t5": T5ForConditionalGeneration, "gpt2": GPT2LMHeadModel}
# The folder's files, as transformers writes them.
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_WEIGHTS = ("*.safetensors", "*.bin")
# Buffers that older versions saved and that are no weights.
_BUFFERS = (".attn.bias", ".attn.masked_bias")


class UnsuitableCheckpoint(ValueError):
    """A folder that is no T5 or GPT2 with a character vocabulary, or whose parts do not fit together."""


def load_model(folder: Path) -> PreTrainedModel:
    """The folder's model in fp32. Raises UnsuitableCheckpoint, OSError."""
    model, loading = _open(_kind(folder / CONFIG), folder)
    wrong = [*loading["missing_keys"], *loading["mismatched_keys"]]
    wrong += [name for name in loading["unexpected_keys"] if not name.endswith(_BUFFERS)]
    if wrong:
        raise UnsuitableCheckpoint(f"weights and config.json do not agree: {sorted(map(str, wrong))[:5]}")
    return model.eval()


def check_fp16(model: PreTrainedModel) -> None:
    """Raises UnsuitableCheckpoint where a weight is beyond what fp16 can hold."""
    if not all(parameter.half().isfinite().all() for parameter in model.parameters()):
        raise UnsuitableCheckpoint("weights that fp16 cannot hold: give --precision fp32 or int8")


def _open(kind: type[PreTrainedModel], folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    try:
        return kind.from_pretrained(
            folder,
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except (RuntimeError, ValueError, UnpicklingError, SafetensorError) as error:
        raise UnsuitableCheckpoint(f"the weights cannot be read: {error}") from error


def _kind(path: Path) -> type[PreTrainedModel]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        arch = config.get("model_type")
    except (ValueError, AttributeError) as error:
        raise UnsuitableCheckpoint(f"{path.name} is no JSON object") from error
    if arch not in _MODELS:
        raise UnsuitableCheckpoint(f"model_type is {arch!r}, not one of {', '.join(_MODELS)}")
    if arch == "t5" and config.get("tie_word_embeddings") is False:
        # transformers 5 would tie it, and write something else than what was trained.
        raise UnsuitableCheckpoint("a T5 whose output layer is not its embedding")
    return _MODELS[arch]


def file_hashes(folder: Path, vocabulary: Path) -> dict[str, str]:
    """SHA-256 of the files that were read, by name."""
    weights = [path for kind in _WEIGHTS for path in sorted(folder.glob(kind))]
    return {path.name: sha256_of(path) for path in (folder / CONFIG, *weights, vocabulary)}


def read_vocabulary(path: Path, size: int, renamed: Mapping[str, str]) -> CharacterTokenizer:
    """A `vocab.txt` as BERT's tokenizer reads it, for a model of `size` tokens.

    An `[EOS]` that is not there is the token after the last. Of a token that is there twice the later one
    counts. Ids without a token get a placeholder. At last tokens get their new names from `renamed`.

    Raises UnsuitableCheckpoint, OSError.
    """
    tokens = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    if EOS not in tokens:
        tokens.append(EOS)
    if len(tokens) > size:
        raise UnsuitableCheckpoint(f"{path.name} needs {len(tokens)} ids, the model has {size}")
    last = {token: index for index, token in enumerate(tokens)}
    tokens += [""] * (size - len(tokens))
    vocabulary = [
        renamed.get(token, token) if token and last[token] == index else f"[NONE{index}]"
        for index, token in enumerate(tokens)
    ]
    try:
        return CharacterTokenizer(vocabulary)
    except ValueError as error:
        raise UnsuitableCheckpoint(f"{path.name}: {error}") from error
