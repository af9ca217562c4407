"""The loss is the loss of transformers, made cheaper; guidance and copying heads do what they say."""

from __future__ import annotations

import random

import pytest
import torch

from models.training.architectures import new_model
from models.training.copying import start_copying
from models.training.dataset import IGNORED
from models.training.keyword_sampler import KeywordSampler
from models.training.objective import nats, training_loss
from models.training.optimizers import new_optimizer
from training_material import POEM, WORDS, maker, tokenizer


@pytest.fixture(params=["gpt2", "t5"])
def poet(request):
    """(arch, model, batch) of a small poet with random weights."""
    torch.manual_seed(0)
    model = new_model(request.param, tokenizer(request.param), d_model=128, layers=2)
    return request.param, model, maker(request.param).batch([POEM] * 6, random.Random(1))


def reference(arch, model, batch):
    """The loss by transformers' own forward pass, fp32."""
    if arch == "t5":
        return model(input_ids=batch.input_ids, attention_mask=batch.mask, labels=batch.labels).loss
    logits = model(input_ids=batch.input_ids, attention_mask=batch.mask).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_loss_and_gradients_are_those_of_transformers(poet):
    arch, model, batch = poet
    expected = reference(arch, model, batch)
    loss = training_loss(model, batch, keyword_weight=1.0, guidance=0.0)
    losses, _, _ = nats(model, batch)
    assert losses.mean().item() == pytest.approx(expected.item(), abs=1e-4)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-3)  # bf16 in the output layer
    wanted, found = gradients(model, expected), gradients(model, loss)
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() < 0.02 * gradient.norm() + 1e-6, name


def test_keyword_weight_counts_keywords_more_often(poet):
    _, model, batch = poet
    losses, _, keywords = nats(model, batch)
    assert keywords.sum() == len(batch.copies) > 0
    weights = 1 + 4 * keywords.float()
    expected = (losses * weights).sum() / weights.sum()
    loss = training_loss(model, batch, keyword_weight=5.0, guidance=0.0)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-3)
    assert (batch.labels != IGNORED).sum() == len(losses)


def test_guidance_falls_when_it_is_followed(poet):
    _, model, batch = poet
    optimizer = new_optimizer(model, name="adamw", learning_rate=3e-3, weight_decay=0.0)

    def distraction() -> torch.Tensor:
        with_it = training_loss(model, batch, keyword_weight=1.0, guidance=1.0)
        return with_it - training_loss(model, batch, keyword_weight=1.0, guidance=0.0)

    before = distraction().item()
    for _ in range(50):
        optimizer.zero_grad()
        training_loss(model, batch, keyword_weight=1.0, guidance=1.0).backward()
        optimizer.step()
    assert before > 1.0
    assert distraction().item() < before / 2


def test_a_t5_begins_as_a_copier():
    """Where its guided heads are made to look, it writes."""
    torch.manual_seed(0)
    model = new_model("t5", tokenizer("t5"), d_model=128, layers=2)
    rng, sampler = random.Random(0), KeywordSampler(WORDS, 1000)
    examples = [maker("t5").batch([POEM] * 8, rng) for _ in range(4)]
    start_copying(model, examples)
    batch = examples[0]
    places = torch.randint(1, 8, (len(batch.labels),))
    source = model.encoder(input_ids=batch.input_ids, attention_mask=batch.mask).last_hidden_state
    seen = source[torch.arange(len(places)), places]
    said = torch.zeros(len(places), 128)
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        said += attention.o(attention.v(seen))
    embeddings = model.shared.weight
    likeness = torch.nn.functional.cosine_similarity(said[:, None], embeddings[None], dim=-1)
    assert torch.equal(likeness.argmax(dim=1), batch.input_ids[torch.arange(len(places)), places])
    assert sampler.draw(POEM, rng)


def test_auxiliary_loss_counts_hidden_keywords_and_ends_of_lines_once_more():
    torch.manual_seed(0)
    words = tokenizer("gpt2")
    model = new_model("gpt2", words, d_model=128, layers=2)
    make = maker("gpt2")
    shown = make.batch([POEM] * 40, random.Random(1))
    batch = make.batch([POEM] * 40, random.Random(1), masking=0.15)

    hidden = batch.input_ids != shown.input_ids
    assert (batch.input_ids[hidden] == words.id_of("[MASK]")).all()
    assert torch.equal(batch.labels, shown.labels)
    # The prompt and the ends of lines are always seen.
    characters = (batch.labels != IGNORED) & (batch.labels != words.eos_id) & (batch.labels != words.sep_id)
    assert not (hidden[:, 1:] & ~characters[:, :-1]).any()
    assert hidden.sum() / characters.sum() == pytest.approx(0.15, abs=0.04)

    ends = batch.labels == words.eos_id
    read_later = torch.roll(hidden, -1, dims=1)
    assert torch.equal(batch.auxiliary, ends | (batch.copied & read_later))
    assert (batch.auxiliary & ~ends).any()

    losses, _, _ = nats(model, batch)
    named = batch.auxiliary[batch.labels != IGNORED]
    loss = training_loss(model, batch, keyword_weight=1.0, guidance=0.0, auxiliary=0.1)
    assert loss.item() == pytest.approx((0.9 * losses.mean() + 0.1 * losses[named].mean()).item(), abs=2e-3)


def test_without_masking_nothing_is_auxiliary():
    batch = maker("gpt2").batch([POEM], random.Random(1))
    assert not batch.auxiliary.any()
