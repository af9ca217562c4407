"""What no run can be made with is refused in one line; a run goes on with its own settings alone."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.training import train
from models.training.checkpoint import CHECKPOINT, CONFIG, LOG, VOCABULARY, cut_log, read_config, read_log
from models.training.config import InvalidRun, TrainingConfig
from models.training.run_folder import locked
from models.training.trainer import Trainer
from training_material import run_config


def refusal(config: TrainingConfig, monkeypatch, capsys) -> str:
    """What the command line says, which is one line, before it exits with 2."""
    monkeypatch.setattr(sys, "argv", ["train", *config.arguments()])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        train.main()
    said = capsys.readouterr().err
    assert exit_.value.code == 2
    assert said.startswith("train: ")
    assert said.count("\n") == 1
    return said


def spoilt(config: TrainingConfig, folder: Path, name: str) -> TrainingConfig:
    """The settings, and what they name, with one fault."""
    corpus = Path(config.corpus)
    file = folder / "file"
    file.write_text("no such thing\nat all\n", encoding="utf-8")
    match name:
        case "corpus":
            return replace(config, corpus=str(folder / "nowhere"))
        case "empty split":
            (corpus / "validation.jsonl").write_text("")
        case "no poems":
            (corpus / "train.jsonl").write_text('{"text": "x"}\n')
        case "keywords":
            return replace(config, keywords=str(folder / "nowhere.tsv"))
        case "empty keywords":
            Path(config.keywords).write_text("word\tcount\tcategory\tvisual\n")
        case "no keywords":
            return replace(config, keywords=str(file))
        case "vocab":
            return replace(config, vocab=str(file))
        case "init":
            return replace(config, init=str(folder / "nowhere"))
        case "out":
            return replace(config, out=str(file))
    return config


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("corpus", "train.jsonl: No such file"),
        ("empty split", "validation.jsonl holds no poem"),
        ("no poems", "train.jsonl is not of models.training.corpus"),
        ("keywords", "nowhere.tsv: No such file"),
        ("empty keywords", "holds no word"),
        ("no keywords", "is not of models.training.keywords"),
        ("vocab", "file: no vocabulary"),
        ("init", "nowhere/config.json: no settings"),
        ("out", "file: File exists"),
    ],
)
def test_wrong_input_is_named(tmp_path, monkeypatch, capsys, fault, expected):
    config = spoilt(run_config(tmp_path, steps=1), tmp_path, fault)
    assert expected in refusal(config, monkeypatch, capsys)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"device": "cuda"}, "no CUDA device"),
        ({"steps": 0}, "give --steps or --minutes"),
        ({"steps": 5, "minutes": 1.0}, "give --steps or --minutes"),
        ({"d_model": 100}, "multiple of 64"),
        ({"batch": 0}, "--batch 0: at least 1"),
        ({"learning_rate": -1.0}, "--learning-rate -1.0: at least 0"),
        ({"arch": "t5", "auxiliary": 0.1}, "GPT2's"),
        ({"auxiliary": 1.0}, "less than 1"),
    ],
)
def test_impossible_settings_are_named(tmp_path, monkeypatch, capsys, settings, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = run_config(tmp_path, **{"steps": 1, **settings})
    assert expected in refusal(config, monkeypatch, capsys)
    with pytest.raises(InvalidRun):
        Trainer(config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps: its settings."""
    config = run_config(tmp_path_factory.mktemp("run"), steps=2)
    Trainer(config).run()
    return config


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"arch": "t5"}, "arch gpt2 there, t5 here"),
        ({"layers": 3, "d_model": 128}, "d_model 64 there, 128 here; layers 2 there, 3 here"),
        ({"seed": 8}, "seed 0 there, 8 here"),
        ({"accumulate": 2}, "1 batches a step (accumulate × processes) there, 2 here"),
        ({"steps": 0, "minutes": 1.0}, "steps 2 there, 0 here"),
    ],
)
def test_a_folder_with_another_run_is_refused(run, monkeypatch, capsys, settings, expected):
    before = {path: path.read_bytes() for path in Path(run.out).iterdir()}
    said = refusal(replace(run, **settings), monkeypatch, capsys)
    assert expected in said
    assert "another --out" in said
    assert before == {path: path.read_bytes() for path in Path(run.out).iterdir()}


def test_other_data_are_refused_and_moved_data_are_not(run, tmp_path, monkeypatch, capsys):
    moved = replace(run_config(tmp_path, steps=2), out=run.out)
    Trainer(moved)
    with (tmp_path / "corpus" / "train.jsonl").open("a") as file:
        file.write((tmp_path / "corpus" / "validation.jsonl").read_text().splitlines()[0] + "\n")
    with Path(moved.keywords).open("a") as file:
        file.write("青山\t30\tland\t1\n")
    said = refusal(moved, monkeypatch, capsys)
    assert "train.jsonl is not the same; the keyword list is not the same" in said


def test_a_run_goes_on_for_longer_and_in_its_own_sizes(tmp_path, capsys):
    first = run_config(tmp_path, steps=2)
    Trainer(first).run()
    longer = replace(first, steps=4, d_model=0, layers=0, checkpoint_minutes=9.0, threads=2)
    trainer = Trainer(longer)
    trainer.run()
    assert trainer.progress.step == 4
    assert (trainer.config.d_model, trainer.config.layers) == (64, 2)
    assert read_config(trainer.out)["steps"] == 4
    Trainer(first).run()
    assert "up to step 4" in capsys.readouterr().err


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_sizes_come_from_the_run_that_is_built_on(tmp_path, arch):
    first = run_config(tmp_path, arch=arch, out=str(tmp_path / "first"), steps=1)
    Trainer(first).run()
    second = replace(first, out=str(tmp_path / "second"), init=first.out, d_model=0, layers=0)
    Trainer(second).run()
    said = read_config(tmp_path / "second")
    assert (said["d_model"], said["layers"]) == (64, 2)
    third = replace(second, out=str(tmp_path / "third"), init=second.out)
    assert Trainer(third).model.num_parameters() == Trainer(first).model.num_parameters()
    for setting, value in {"d_model": 128, "layers": 6, "arch": "t5" if arch == "gpt2" else "gpt2"}.items():
        with pytest.raises(InvalidRun, match=f"{setting} {getattr(first, setting)}, not {value}"):
            Trainer(replace(third, **{setting: value}))


def test_usual_sizes_are_the_last_resort(tmp_path):
    trainer = Trainer(run_config(tmp_path, steps=1, d_model=0, layers=1))
    assert (trainer.config.d_model, trainer.config.layers) == (256, 1)
    assert trainer.model.config.n_embd == 256


@pytest.mark.parametrize("harm", ["torn", "of another model", "without settings"])
def test_a_damaged_run_is_refused(tmp_path, monkeypatch, capsys, harm):
    config = run_config(tmp_path, steps=2)
    Trainer(config).run()
    out = Path(config.out)
    if harm == "torn":
        (out / CHECKPOINT).write_bytes((out / CHECKPOINT).read_bytes()[:5000])
    elif harm == "of another model":
        (out / VOCABULARY).write_text(
            (out / VOCABULARY).read_text(encoding="utf-8") + "龘\n", encoding="utf-8"
        )
    else:
        (out / CONFIG).unlink()
    assert str(out) in refusal(config, monkeypatch, capsys)


def test_one_process_trains_in_a_folder(tmp_path, monkeypatch, capsys):
    config = run_config(tmp_path, steps=1)
    out = Path(config.out)
    out.mkdir()
    with locked(out):
        assert "another process" in refusal(config, monkeypatch, capsys)
    Trainer(config).run()


def test_what_was_logged_before_the_first_checkpoint_is_forgotten(tmp_path):
    config = run_config(tmp_path, steps=1)
    Path(config.out).mkdir()
    (Path(config.out) / LOG).write_text(json.dumps({"step": 1, "loss": 9.0}) + "\n")
    Trainer(config).run()
    assert [entry["step"] for entry in read_log(Path(config.out) / LOG)] == [0, 1, 1]
    cut_log(Path(config.out) / LOG, None)
    assert read_log(Path(config.out) / LOG) == []
