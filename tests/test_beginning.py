"""A run begins with a given vocabulary, or with another run's weights under it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.tokenizer import CharacterTokenizer
from models.training.beginning import continued
from models.training.checkpoint import VOCABULARY, load_weights
from models.training.trainer import Trainer
from models.training.vocabulary import extended, kin, template_for
from training_material import LINES, run_config, tokenizer

TEXT = "".join(LINES).replace("楼", "")


def vocabulary_file(folder: Path, tokens: list[str]) -> Path:
    path = folder / "given.txt"
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=["gpt2", "t5"])
def run(request, tmp_path):
    """The settings of a run that has learned a little."""
    config = run_config(tmp_path, arch=request.param, out=str(tmp_path / "first"), steps=4)
    Trainer(config).run()
    return config


@pytest.fixture
def other_order(run, tmp_path):
    """A vocabulary of the same tokens in another order, with two characters more and one less."""
    known = list(CharacterTokenizer.read(Path(run.out) / VOCABULARY).vocabulary)
    known.remove("楼")
    random.Random(1).shuffle(known)
    return vocabulary_file(tmp_path, ["鹤", *known, "鸥"])


def test_a_run_from_scratch_takes_a_given_vocabulary(tmp_path):
    own = tokenizer("gpt2")
    given = vocabulary_file(tmp_path, [*reversed(own.vocabulary[:40]), "鹤", *own.vocabulary[40:-1]])
    trainer = Trainer(run_config(tmp_path, steps=2, vocab=str(given)))
    trainer.run()
    expected = extended(CharacterTokenizer.read(given), trainer.template).vocabulary
    assert expected[: len(own)] == CharacterTokenizer.read(given).vocabulary
    assert trainer.tokenizer.vocabulary == expected
    assert CharacterTokenizer.read(trainer.out / VOCABULARY).vocabulary == expected
    assert trainer.model.config.pad_token_id == expected.index("[PAD]")
    assert len(trainer.model.get_input_embeddings().weight) == len(expected)
    model, read, _ = load_weights(trainer.out)
    assert read.vocabulary == expected
    assert torch.equal(model.lm_head.weight, trainer.model.lm_head.weight)


@torch.no_grad()
def said_of(model, words: CharacterTokenizer, arch: str) -> torch.Tensor:
    """Logits of all tokens after each place of a text that is read alone, (T, V)."""
    ids = torch.tensor([words.encode(TEXT)])
    return model(input_ids=ids, **({"labels": ids} if arch == "t5" else {})).logits[0]


def test_rows_follow_their_tokens(run, other_order):
    old, old_words, _ = load_weights(Path(run.out))
    new, new_words = continued(Path(run.out), other_order)
    assert new_words.vocabulary == CharacterTokenizer.read(other_order).vocabulary
    shared = [token for token in new_words.vocabulary if token in old_words.vocabulary]
    assert len(shared) == len(new_words) - 2
    before = [old_words.id_of(token) for token in shared]
    after = [new_words.id_of(token) for token in shared]
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(new, layer)().weight[after], getattr(old, layer)().weight[before])
    one, other = said_of(old, old_words, run.arch), said_of(new, new_words, run.arch)
    torch.testing.assert_close(one[:, before], other[:, after], rtol=0, atol=1e-5)


def test_layers_that_share_weights_share_them_still(run, other_order):
    trainer = Trainer(replace(run, out=f"{run.out}-second", init=run.out, vocab=str(other_order)))
    trainer.run()
    model = trainer.model
    shared = model.get_input_embeddings().weight
    assert model.lm_head.weight is shared
    if run.arch == "t5":
        assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is shared
    again, _, _ = load_weights(trainer.out)
    assert torch.equal(again.get_input_embeddings().weight, shared)


def test_unknown_tokens_start_as_the_mean_of_their_kin(run, tmp_path):
    old, words, _ = load_weights(Path(run.out))
    group = "[YUN26]"
    known = [token for token in words.vocabulary if token not in (group, "[WULV]", "[SUBJECT01]")]
    # As from an older run: a model that lacks these tokens.
    (Path(run.out) / VOCABULARY).write_text(
        "\n".join([*known, "一一", "二二", "三三"]) + "\n", encoding="utf-8"
    )
    new, now = continued(Path(run.out), vocabulary_file(tmp_path, [*known, "鹤"]))
    embeddings, rows = new.get_input_embeddings().weight, old.get_input_embeddings().weight
    older = {token: rows[index] for index, token in enumerate([*known, "一一", "二二", "三三"])}
    rhyming = [c for c in kin(template_for(run.arch))[group] if c in older]
    assert rhyming
    expected = {
        group: torch.stack([older[c] for c in rhyming]).mean(dim=0),
        "[WULV]": older["[WUJUE]"],
        "鹤": rows.mean(dim=0),
    }
    for token, row in expected.items():
        torch.testing.assert_close(embeddings[now.id_of(token)], row)
