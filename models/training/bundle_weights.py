"""A poet's bundle in the place of a run's folder: what a new run may start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GPT2Config, PreTrainedModel, T5Config

from models.bundle import MANIFEST, Bundle, CorruptArtifact, open_bundle
from models.tokenizer import CharacterTokenizer
from models.training.architectures import HEAD, new_model
from models.training.config import InvalidRun
from models.training.foreign import WEIGHTS, UnsuitableCheckpoint, load_model

_CONFIGS = {"t5": T5Config, "gpt2": GPT2Config}
# What a config.json says of the program that wrote it, and not of the model.
_ABOUT = {"_name_or_path", "architectures", "dtype", "transformers_version"}


def is_bundle(folder: Path) -> bool:
    """Whether the folder holds a bundle, and not a run."""
    return (folder / MANIFEST).exists()


def bundle_settings(folder: Path) -> dict[str, Any]:
    """What a run's `config.json` says of its model, `arch`, `d_model`, `layers` and `prompt`; and its name.

    Raises InvalidRun where the bundle is damaged, no poet's, or holds no PyTorch weights.
    """
    bundle = _open(folder)
    arch = bundle.manifest["architecture"]
    config = _CONFIGS[arch].from_pretrained(folder)
    sizes = {"d_model": config.hidden_size, "layers": config.num_hidden_layers}
    return {"name": bundle.name, "arch": arch, **sizes, "prompt": bundle.manifest["prompt"]}


def load_bundle(folder: Path) -> tuple[PreTrainedModel, CharacterTokenizer, dict[str, Any]]:
    """A bundle's model in fp32, its tokenizer, and its `bundle_settings`.

    Raises InvalidRun as `bundle_settings`, and where the model is of another shape than runs have.
    """
    settings = bundle_settings(folder)
    tokenizer = CharacterTokenizer.read(folder / "vocab.txt")
    try:
        trained = load_model(folder)
    except (UnsuitableCheckpoint, OSError) as error:
        raise InvalidRun(f"{folder}: {error}") from error
    if settings["d_model"] % HEAD:
        raise InvalidRun(f"{folder}: its width of {settings['d_model']} is no multiple of {HEAD}")
    model = new_model(settings["arch"], tokenizer, d_model=settings["d_model"], layers=settings["layers"])
    _check_shape(folder, trained.config.to_dict(), model.config.to_dict())
    model.load_state_dict(trained.state_dict())
    return model, tokenizer, settings


def _open(folder: Path) -> Bundle:
    try:
        bundle = open_bundle(folder, kind="poet")
    except CorruptArtifact as error:
        raise InvalidRun(str(error)) from error
    if WEIGHTS not in bundle.manifest["files"]:
        raise InvalidRun(f"{folder}: a bundle without {WEIGHTS}; take one in fp16 or fp32")
    return bundle


def _check_shape(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    different = sorted(name for name in ours.keys() - _ABOUT if theirs.get(name) != ours[name])
    if different:
        told = ", ".join(f"{name} {theirs.get(name)} and not {ours[name]}" for name in different)
        raise InvalidRun(f"{folder}: runs do not go on from such a model: {told}")
