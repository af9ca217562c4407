"""A run on disk, such that a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.tokenizer import CharacterTokenizer
from models.training.architectures import new_model
from models.training.vocabulary import extended, kin, template_for

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


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


def save(out: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write the checkpoint: a temporary file, then a rename."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "torch_rng": torch.get_rng_state(),
    }
    partial = out / f"{CHECKPOINT}.partial"
    torch.save(state, partial)
    partial.replace(out / CHECKPOINT)


def resume(
    out: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, device: str
) -> Progress | None:
    """Restore what `save` wrote, and cut the log back to it; None where there is no checkpoint."""
    if not (out / CHECKPOINT).exists():
        return None
    state = torch.load(out / CHECKPOINT, weights_only=True, map_location=device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["torch_rng"].cpu())
    progress = Progress(**state["progress"])
    _cut_log(out / LOG, progress.step)
    return progress


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a run's log; a last line that was cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _cut_log(path: Path, step: int) -> None:
    kept = [entry for entry in read_log(path) if entry["step"] <= step]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def load_weights(run: Path) -> tuple[torch.nn.Module, CharacterTokenizer, dict[str, Any]]:
    """A run's model, its tokenizer, and what it was started with and how far it came, as one mapping."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    tokenizer = CharacterTokenizer.read(run / "vocab.txt")
    model = new_model(config["arch"], tokenizer, d_model=config["d_model"], layers=config["layers"])
    state = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    return model, tokenizer, {**config, **state["progress"]}


@torch.no_grad()
def continued(run: Path, vocab: Path | None = None) -> tuple[torch.nn.Module, CharacterTokenizer]:
    """A run's model, with the vocabulary of `vocab` or else its own, and today's control tokens at the end.

    A token that the run did not know starts as the mean of its kin (see `vocabulary.kin`), or of all tokens.
    """
    model, tokenizer, config = load_weights(run)
    template = template_for(config["arch"])
    wanted = extended(CharacterTokenizer.read(vocab) if vocab else tokenizer, template)
    old, near = model.get_input_embeddings().weight, kin(template)
    known = set(tokenizer.vocabulary)
    rows = [
        old[tokenizer.id_of(token)] if token in known else _mean(old, tokenizer, near.get(token, ""))
        for token in wanted.vocabulary
    ]
    renewed = new_model(config["arch"], wanted, d_model=config["d_model"], layers=config["layers"])
    weights, embeddings = model.state_dict(), torch.stack(rows)
    for name, value in weights.items():
        if value.data_ptr() == old.data_ptr():  # input and output layers share it
            weights[name] = embeddings
    renewed.load_state_dict(weights)
    return renewed, wanted


def _mean(embeddings: torch.Tensor, tokenizer: CharacterTokenizer, text: str) -> torch.Tensor:
    ids = [index for index in tokenizer.encode(text) if index != tokenizer.unk_id]
    return (embeddings[ids] if ids else embeddings).mean(dim=0)
