"""A run that learns, and a run that is killed and goes on as if nothing had happened."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import pytest
import torch

from models.training.chart import draw_chart
from models.training.checkpoint import CHECKPOINT, LOG, load_weights, read_log
from models.training.config import parse_config
from models.training.schedule import faded, rate_factor
from models.training.trainer import CHART, Trainer
from models.training.validation import validate
from models.training.vocabulary import template_for
from training_material import POEM, run_config


class Killed(Exception):
    """Stands for the end of the process."""


def losses(folder) -> list[tuple[int, float]]:
    return [(entry["step"], entry["loss"]) for entry in read_log(folder / LOG) if "loss" in entry]


def killed_at(trainer: Trainer, step: int, *, saved_at: int) -> None:
    """Run, save at one step, and die at a later one, in the middle of a log line."""
    real = trainer._step

    def until(bar):
        if trainer.progress.step == step:
            with (trainer.out / LOG).open("a") as file:
                file.write('{"step": 1')
            raise Killed
        real(bar)
        if trainer.progress.step == saved_at:
            trainer.save()

    trainer._step = until
    with pytest.raises(Killed):
        trainer.run()


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_a_run_learns(tmp_path, arch):
    trainer = Trainer(run_config(tmp_path, arch=arch, steps=40))
    before = validate(trainer.model, trainer.maker, trainer.validation)
    trainer.run()
    after = validate(trainer.model, trainer.maker, trainer.validation)
    assert after.loss < before.loss - 0.5
    assert 0 <= before.keyword_accuracy <= after.keyword_accuracy <= 1


@pytest.mark.parametrize(
    "settings", [{"optimizer": "muon"}, {"arch": "t5", "accumulate": 2, "schedule": "wsd"}]
)
def test_a_killed_run_goes_on_exactly(tmp_path, settings):
    whole = run_config(tmp_path, out=str(tmp_path / "whole"), steps=14, **settings)
    broken = replace(whole, out=str(tmp_path / "broken"))
    Trainer(whole).run()
    saved_at = random.randrange(1, 10)
    killed_at(Trainer(broken), random.randrange(saved_at, 14), saved_at=saved_at)
    Trainer(broken).run()
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    one, other = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "broken"))
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    position = ("step", "epoch", "place", "poems")
    assert [one["progress"][name] for name in position] == [other["progress"][name] for name in position]


def test_a_run_by_time_ends_and_goes_on_when_given_more(tmp_path):
    first = Trainer(run_config(tmp_path, minutes=0.02))
    first.run()
    second = Trainer(replace(first.config, minutes=0.04))
    second.run()
    assert second.progress.step > first.progress.step
    held = [e["validation_loss"] for e in read_log(second.out / LOG) if "validation_loss" in e]
    assert len(held) == 3
    assert held[-1] < held[0]


def test_the_run_says_what_it_was_made_of(tmp_path):
    trainer = Trainer(run_config(tmp_path, steps=2, seed=5))
    trainer.run()
    saved = json.loads((trainer.out / "config.json").read_text(encoding="utf-8"))
    assert asdict(trainer.config).items() <= saved.items()
    assert len(saved["corpus_sha256"]) == len(saved["keywords_sha256"]) == 64
    assert saved["prompt"] == template_for("gpt2").to_manifest()
    assert set(saved["versions"]) == {"python", "torch", "transformers"}
    assert "code" in saved
    assert (trainer.out / CHART).read_bytes().startswith(b"\x89PNG")
    assert (trainer.out / "vocab.txt").exists()


def test_a_chart_is_drawn_of_an_empty_log(tmp_path):
    draw_chart(tmp_path / "no.jsonl", tmp_path / "chart.png")
    assert (tmp_path / "chart.png").exists()


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_a_run_starts_from_another_with_a_longer_vocabulary(tmp_path, arch):
    first = Trainer(run_config(tmp_path, arch=arch, out=str(tmp_path / "first"), steps=3))
    first.run()
    vocabulary = first.out / "vocab.txt"
    known = vocabulary.read_text(encoding="utf-8").splitlines()
    # As an older run had it: without the last rhyme groups' and subjects' tokens.
    older = [token for token in known if not token.startswith(("[YUN3", "[SUBJECT1"))]
    kept = [known.index(token) for token in older]
    state = torch.load(first.out / CHECKPOINT, weights_only=True)
    for name, weight in state["model"].items():
        if weight.dim() == 2 and len(weight) == len(known):
            state["model"][name] = weight[kept]
    torch.save(state, first.out / CHECKPOINT)
    vocabulary.write_text("\n".join(older) + "\n", encoding="utf-8")

    second = Trainer(replace(first.config, out=str(tmp_path / "second"), init=str(first.out)))
    assert second.tokenizer.vocabulary[: len(older)] == tuple(older)
    assert set(second.tokenizer.vocabulary) == set(known)
    old = load_weights(first.out)[0].get_input_embeddings().weight
    new = second.model.get_input_embeddings().weight
    assert torch.equal(new[: len(older)], old)
    before = validate(second.model, second.maker, [POEM] * 4).loss
    assert before == pytest.approx(validate(first.model, first.maker, [POEM] * 4).loss, abs=0.2)
    second.run()
    assert second.progress.step == 3


def test_the_learning_rate_warms_up_and_falls():
    for schedule in ("cosine", "wsd"):
        factors = [rate_factor(schedule, step=step, warmup_steps=10, done=step / 100) for step in range(101)]
        assert factors[0] == pytest.approx(0.1)
        assert max(factors) <= 1.0
        assert factors[-1] == pytest.approx(0.01)
        assert factors[20:] == sorted(factors[20:], reverse=True)
    assert rate_factor("wsd", step=60, warmup_steps=10, done=0.6) == 1.0


def test_helps_fade():
    assert [faded(2.0, done=done, until=0.5, to=1.0) for done in (0, 0.25, 0.5, 1)] == [2, 1.5, 1, 1]


def test_the_command_line_gives_the_settings_back(tmp_path):
    config = run_config(
        tmp_path, steps=7, schedule="wsd", fresh_encoder=True, guidance=0.0, init="a run", precision="fp32"
    )
    assert parse_config(config.arguments()) == config
    words = config.command().split()[3:]
    for place, name in {"C": config.corpus, "K": config.keywords, "RUN": config.out, "INIT": "a run"}.items():
        words[words.index(place)] = name
    assert parse_config(words) == config
    with pytest.raises(SystemExit):
        parse_config([*words, "--minutes", "1"])
