"""A run on disk, such that a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.tokenizer import CharacterTokenizer
from models.training.architectures import new_model
from models.training.bundle_weights import bundle_settings, is_bundle, load_bundle
from models.training.config import InvalidRun
from models.training.optimizers import Optimizers

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"
LOG = "log.jsonl"
VOCABULARY = "vocab.txt"


@dataclass(kw_only=True)
class Progress:
    """Where a run stands.

    The order of the poems follows from seed and epoch, and what is drawn for a batch from seed, epoch and
    place: no more need be known to go on exactly.

    Attributes:
        step: optimizer steps done.
        epoch: passes through the poems begun before this one.
        place: batches of this pass done.
        poems: poems read.
        seconds: time spent on steps.
    """

    step: int = 0
    epoch: int = 0
    place: int = 0
    poems: int = 0
    seconds: float = 0.0


def save(out: Path, model: torch.nn.Module, optimizer: Optimizers, progress: Progress) -> None:
    """Write the checkpoint, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "torch_rng": torch.get_rng_state(),
    }
    renew(out / CHECKPOINT, lambda partial: torch.save(state, partial))


def resume(out: Path, model: torch.nn.Module, optimizer: Optimizers, device: str) -> Progress | None:
    """Restore what `save` wrote; None where there is no checkpoint.

    Raises InvalidRun for a checkpoint that is damaged, or of another model.
    """
    if not (out / CHECKPOINT).exists():
        return None
    state = _read(out, device)
    _fill(model, state, out)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["torch_rng"].cpu())
    return Progress(**state["progress"])


def renew(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file by what `write` writes to the path that it is given: a kill leaves the old one whole."""
    partial = path.with_name(f".partial-{path.name}")
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_config(out: Path, facts: dict[str, Any]) -> None:
    """Save what a run is made with."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    renew(out / CONFIG, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_config(run: Path) -> dict[str, Any]:
    """What `write_config` saved; of a bundle, what it says of its model. Raises InvalidRun without any."""
    if is_bundle(run):
        return bundle_settings(run)
    try:
        return json.loads((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRun(f"{run / CONFIG}: no settings of a run ({error})") from None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a run's log; a last line that was cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def cut_log(path: Path, progress: Progress | None) -> None:
    """Take out what was logged after the checkpoint with `progress`; all, where there is none."""
    kept = [entry for entry in read_log(path) if progress and entry["step"] <= progress.step]
    text = "".join(json.dumps(entry) + "\n" for entry in kept)
    renew(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def load_weights(run: Path) -> tuple[torch.nn.Module, CharacterTokenizer, dict[str, Any]]:
    """A run's model, its tokenizer, and what it was started with and how far it came, as one mapping.

    A poet's bundle may stand for the run that it was made of. Raises InvalidRun where the folder holds
    neither whole.
    """
    if is_bundle(run):
        return load_bundle(run)
    config, state = read_config(run), _read(run, "cpu")
    tokenizer = read_vocabulary(run / VOCABULARY)
    model = new_model(config["arch"], tokenizer, d_model=config["d_model"], layers=config["layers"])
    _fill(model, state, run)
    return model, tokenizer, {**config, **state["progress"]}


def read_vocabulary(path: Path) -> CharacterTokenizer:
    """The tokenizer of a `vocab.txt`. Raises InvalidRun where there is none."""
    try:
        return CharacterTokenizer.read(path)
    except (OSError, ValueError) as error:
        raise InvalidRun(f"{path}: no vocabulary ({error})") from None


def _read(run: Path, device: str) -> dict[str, Any]:
    try:
        return torch.load(run / CHECKPOINT, weights_only=True, map_location=device)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InvalidRun(f"{run / CHECKPOINT} cannot be read ({_first_line(error)})") from None


def _fill(model: torch.nn.Module, state: dict[str, Any], run: Path) -> None:
    try:
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError) as error:
        raise InvalidRun(f"{run}: {CHECKPOINT} is not of the model of {CONFIG} and {VOCABULARY}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
