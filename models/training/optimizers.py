"""What moves the weights: AdamW for all of them, or Muon for the matrices between embedding and output."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from transformers import PreTrainedModel

from models.training.architectures import HEAD, is_t5_query

OPTIMIZERS = ("adamw", "muon")
_BETAS = (0.9, 0.98)
# Tables of a row a token or a distance: Muon is made for matrices that map vectors to vectors.
_TABLES = ("wte.weight", "wpe.weight", "shared.weight", "lm_head.weight", "relative_attention_bias.weight")


class Optimizers:
    """Several optimizers of one model's weights that step as one.

    Attributes:
        param_groups: the groups of all, each with its `base_lr`.
    """

    def __init__(self, members: list[torch.optim.Optimizer]) -> None:
        self._members = members

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for member in self._members for group in member.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for member in self._members:
            member.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for member in self._members:
            member.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [member.state_dict() for member in self._members]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for member, state in zip(self._members, states, strict=True):
            member.load_state_dict(state)


def new_optimizer(
    model: PreTrainedModel, *, name: str, learning_rate: float, weight_decay: float
) -> Optimizers:
    """AdamW (Loshchilov & Hutter 2019) for all weights, or Muon (Jordan et al. 2024) for hidden matrices.

    Muon's steps are scaled to the root mean square of AdamW's (Liu et al. 2025, "Muon is scalable for LLM
    training"), so that both take the same learning rate. Matrices decay, the rest does not.

    T5 does not divide attention scores by the square root of the head width; its queries are meant to be that
    much smaller instead. Both optimizers move all weights alike, so without a smaller step for the queries
    attention saturates, and the model stays at the entropy of single characters.
    """
    groups: dict[tuple[bool, bool, bool], list[torch.nn.Parameter]] = defaultdict(list)
    for title, parameter in model.named_parameters():
        hidden = name == "muon" and parameter.dim() == 2 and not title.endswith(_TABLES)
        groups[hidden, is_t5_query(title), parameter.dim() > 1].append(parameter)
    parts: dict[bool, list[dict[str, Any]]] = defaultdict(list)
    for (hidden, query, decays), parameters in groups.items():
        rate = learning_rate / math.sqrt(HEAD) if query else learning_rate
        decay = weight_decay if decays else 0.0
        parts[hidden].append({"params": parameters, "base_lr": rate, "lr": rate, "weight_decay": decay})
    members: list[torch.optim.Optimizer] = [torch.optim.AdamW(parts[False], betas=_BETAS)]
    if parts[True]:
        members.append(torch.optim.Muon(parts[True], adjust_lr_fn="match_rms_adamw"))
    return Optimizers(members)
