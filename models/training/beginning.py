"""The model and the vocabulary that a run begins with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from models.prompt import PromptTemplate
from models.tokenizer import CharacterTokenizer
from models.training.architectures import new_model
from models.training.checkpoint import load_weights, read_vocabulary
from models.training.config import TrainingConfig
from models.training.copying import start_copying
from models.training.corpus import Poem
from models.training.dataset import Batch, ExampleMaker, batches
from models.training.vocabulary import build_tokenizer, extended, kin, template_for

# Batches that a T5's copying heads are fitted to.
_FITTED = 20


def first_model(
    config: TrainingConfig, poems: Sequence[Poem], template: PromptTemplate
) -> tuple[PreTrainedModel, CharacterTokenizer]:
    """The model of `--init`, or a new one with random weights; with the vocabulary of `--vocab`, if given."""
    vocab = Path(config.vocab) if config.vocab else None
    if config.init:
        return continued(Path(config.init), vocab)
    tokenizer = extended(read_vocabulary(vocab), template) if vocab else build_tokenizer(poems, template)
    return new_model(config.arch, tokenizer, d_model=config.d_model, layers=config.layers), tokenizer


def prepare_to_copy(
    config: TrainingConfig, model: PreTrainedModel, maker: ExampleMaker, poems: Sequence[Poem]
) -> None:
    """Begin a T5 as a copier (see `copying`), unless it has learned to copy in another run."""
    if config.arch == "t5" and (config.fresh_encoder or not config.init):
        start_copying(model, _some_batches(config, maker, poems))


def _some_batches(config: TrainingConfig, maker: ExampleMaker, poems: Sequence[Poem]) -> list[Batch]:
    rng = random.Random(config.seed)
    sample = rng.sample(poems, min(len(poems), _FITTED * config.batch))
    return [maker.batch(some, rng) for some in batches(sample, config.batch, rng)]


@torch.no_grad()
def continued(run: Path, vocab: Path | None = None) -> tuple[torch.nn.Module, CharacterTokenizer]:
    """A run's model, with the vocabulary of `vocab` or else its own, and today's control tokens at the end.

    A token that the run did not know starts as the mean of its kin (see `vocabulary.kin`), or of all tokens.
    """
    model, tokenizer, config = load_weights(run)
    template = template_for(config["arch"])
    wanted = extended(read_vocabulary(vocab) if vocab else tokenizer, template)
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
