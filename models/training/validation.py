"""How well a poet in training predicts poems that it does not learn from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from models.training.corpus import Poem
from models.training.dataset import ExampleMaker, batches
from models.training.objective import nats

_BATCH = 50


@dataclass(frozen=True, kw_only=True)
class Held:
    """Measured with the true poem up to each character.

    Attributes:
        loss: mean nats per written token, line ends included.
        keyword_accuracy: share of the keywords' characters that are predicted first.
    """

    loss: float
    keyword_accuracy: float


def validate(
    model: PreTrainedModel, maker: ExampleMaker, poems: Sequence[Poem], *, bf16: bool = False
) -> Held:
    """Measure `poems` with the same keywords and control tokens each time."""
    rng = random.Random(0)
    device = model.device.type
    losses, right = [], []
    model.eval()
    for poems_of_one_form in batches(poems, _BATCH, rng):
        batch = maker.batch(poems_of_one_form, rng).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss, first, keywords = nats(model, batch)
        losses.append(loss)
        right.append(first[keywords])
    model.train()
    return Held(loss=torch.cat(losses).mean().item(), keyword_accuracy=torch.cat(right).float().mean().item())
