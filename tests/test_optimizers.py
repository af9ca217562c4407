import math

import pytest
import torch

from models.training.architectures import HEAD, new_model
from models.training.optimizers import new_optimizer
from training_material import tokenizer


def members(model, name):
    """The optimizer's class and `base_lr` of each weight, by name."""
    optimizer = new_optimizer(model, name=name, learning_rate=0.01, weight_decay=0.1)
    names = {id(weight): title for title, weight in model.named_parameters()}
    return {
        names[id(weight)]: (type(member).__name__, group["base_lr"])
        for member in optimizer._members
        for group in member.param_groups
        for weight in group["params"]
    }


@pytest.mark.parametrize("arch", ["t5", "gpt2"])
def test_every_weight_has_one_optimizer(arch):
    model = new_model(arch, tokenizer(arch), d_model=64, layers=2)
    for name in ("adamw", "muon"):
        assert members(model, name).keys() == {title for title, _ in model.named_parameters()}
    assert {kind for kind, _ in members(model, "adamw").values()} == {"AdamW"}


@pytest.mark.parametrize("arch", ["t5", "gpt2"])
def test_muon_moves_hidden_matrices_and_no_table(arch):
    model = new_model(arch, tokenizer(arch), d_model=64, layers=2)
    found = members(model, "muon")
    for title, weight in model.named_parameters():
        table = any(word in title for word in ("wte", "wpe", "shared", "relative_attention_bias"))
        expected = "Muon" if weight.dim() == 2 and not table else "AdamW"
        assert found[title][0] == expected, title


def test_queries_of_a_t5_take_smaller_steps():
    for name in ("adamw", "muon"):
        found = members(new_model("t5", tokenizer("t5"), d_model=64, layers=2), name)
        queries = [rate for title, (_, rate) in found.items() if title.endswith("Attention.q.weight")]
        assert queries == [pytest.approx(0.01 / math.sqrt(HEAD))] * 6
        assert found["shared.weight"][1] == 0.01


def test_muon_steps_are_as_large_as_adamws():
    """Of root mean square 0.2 × the learning rate, whatever the gradient's size (Liu et al. 2025)."""
    torch.manual_seed(0)
    model = new_model("gpt2", tokenizer("gpt2"), d_model=64, layers=1)
    weight = model.transformer.h[0].mlp.c_fc.weight
    optimizer = new_optimizer(model, name="muon", learning_rate=0.01, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.randn_like(parameter)
    before = weight.detach().clone()
    optimizer.step()
    assert (weight - before).square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.25)
