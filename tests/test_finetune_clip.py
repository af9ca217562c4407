"""Fine-tuning a Chinese-CLIP: it learns, goes on after a stop as if there had been none, and exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ChineseCLIPModel

from models.bundle import open_bundle
from models.clip import Encoder
from models.training.clip_tuning.config import TuningConfig
from models.training.clip_tuning.objective import ContrastiveLoss, recall
from models.training.clip_tuning.pairs import Batch, Pair, read_pairs, split
from models.training.clip_tuning.shapes import write_model, write_pairs
from models.training.clip_tuning.trainer import CHART, CHECKPOINT, LOG, Tuner, read_log
from models.training.config import InvalidRun


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn shapes with texts, and a small model with random weights."""
    folder = tmp_path_factory.mktemp("shapes")
    write_pairs(folder, each=2)
    write_model(folder / "model")
    return folder


def config(made: Path, out: Path, **changes: object) -> TuningConfig:
    settings: dict = {
        "source": str(made / "model"),
        "pairs": str(made / "pairs.jsonl"),
        "out": str(out),
        "steps": 6,
        "batch": 24,
        "learning_rate": 2e-3,
        "warmup_steps": 5,
        "evaluate_every": 40,
        "precision": "fp32",
    }
    return TuningConfig(**{**settings, **changes})


def train(tuner: Tuner) -> None:
    """All of a run but its export."""
    tuner.out.mkdir(parents=True, exist_ok=True)
    tuner._resume()
    tuner._train()


def test_it_learns_and_exports_what_it_learned(made: Path, tmp_path: Path) -> None:
    tuner = Tuner(config(made, tmp_path / "run", steps=100, batch=48))
    bundle = tuner.run()
    entries = read_log(tmp_path / "run" / LOG)
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    held = [entry["text_to_picture_5"] for entry in entries if "loss" not in entry]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.4
    assert held[-1] >= held[0] + 0.2
    assert (tmp_path / "run" / CHART).stat().st_size > 10_000
    facts = bundle.manifest["training"]
    assert (facts["pairs"], facts["steps"], facts["pairs_trained_on"]) == ("pairs.jsonl", 100, 162)
    assert str(tmp_path) not in json.dumps(bundle.manifest)
    encoder = Encoder.open(open_bundle(bundle.path, kind="encoder"), threads=1)
    pictures = [pair.picture.read_bytes() for pair in tuner.held_out[:8]]
    with torch.no_grad():
        batch = tuner.batches.make(tuner.held_out[:8])
        expected = tuner.model.get_image_features(pixel_values=batch.pixels).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_pictures(pictures), expected, atol=1e-5)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(made: Path, tmp_path: Path) -> None:
    whole = Tuner(config(made, tmp_path / "whole"))
    train(whole)
    # The rate follows from the run's length, so the stop comes from outside.
    stopped = Tuner(config(made, tmp_path / "parts", checkpoint_minutes=0.0))
    stopped.out.mkdir()
    take, taken = stopped._take_step, []

    def interrupted() -> float:
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(take())
        return taken[-1]

    stopped._take_step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(stopped)
    resumed = Tuner(config(made, tmp_path / "parts"))
    train(resumed)
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert read_log(tmp_path / "parts" / LOG) == read_log(tmp_path / "whole" / LOG)


def test_another_run_in_the_folder_is_refused(made: Path, tmp_path: Path) -> None:
    train(Tuner(config(made, tmp_path, steps=1)))
    assert (tmp_path / CHECKPOINT).exists()
    with pytest.raises(InvalidRun, match="batch 24"):
        train(Tuner(config(made, tmp_path, steps=2, batch=12)))


def test_bf16_and_a_frozen_image_tower(made: Path, tmp_path: Path) -> None:
    tuner = Tuner(config(made, tmp_path, steps=2, precision="bf16", freeze_image=True))
    before = [weight.clone() for weight in tuner.model.vision_model.parameters()]
    words = tuner.model.text_projection.weight.clone()
    train(tuner)
    for old, new in zip(before, tuner.model.vision_model.parameters(), strict=True):
        assert torch.equal(old, new)
    assert not torch.equal(words, tuner.model.text_projection.weight)
    assert {weight.dtype for weight in tuner.model.parameters()} == {torch.float32}


def test_pairs_of_a_folder_and_of_a_file(made: Path, tmp_path: Path) -> None:
    picture = made / read_pairs(made / "pairs.jsonl")[0].picture.name
    (tmp_path / "a.png").write_bytes(picture.read_bytes())
    (tmp_path / "a.txt").write_text("明月\n\n 孤舟 \n", encoding="utf-8")
    (tmp_path / "lonely.png").write_bytes(picture.read_bytes())
    expected = [Pair(picture=tmp_path / "a.png", text=text) for text in ("明月", "孤舟")]
    assert read_pairs(tmp_path) == expected
    line = {"image": "a.png", "text": ["明月", "孤舟"]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert read_pairs(tmp_path / "pairs.jsonl") == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 2"), ('{"image": "b.png"}', "line 2"), ('{"image": "b.png", "text": "x"}', "there is no")],
)
def test_lines_that_are_no_pair(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidRun, match=message):
        read_pairs(tmp_path / "pairs.jsonl")


def test_held_out_pictures_take_all_their_texts_with_them() -> None:
    pairs = [Pair(picture=Path(str(number)), text=f"{text}") for number in range(10) for text in range(3)]
    training, held = split(pairs, share=0.2, seed=0)
    assert (len(training), len(held)) == (24, 6)
    assert not {pair.picture for pair in training} & {pair.picture for pair in held}


def test_batches_hold_no_picture_twice(made: Path, tmp_path: Path) -> None:
    tuner = Tuner(config(made, tmp_path))
    twice = [pair for pair in tuner.held_out for _ in range(2)]
    tuner.batches._pairs, tuner.batches._size = twice, len(tuner.held_out)
    for batch in tuner.batches._order(1):
        assert len({pair.picture for pair in batch}) == len(batch) == len(tuner.held_out)


def test_recall_counts_every_picture_with_the_text_as_right() -> None:
    pictures = torch.eye(3)
    texts = torch.tensor([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    apart = recall(pictures, texts, torch.tensor([0, 1, 2]), k=[1, 3])
    together = recall(pictures, texts, torch.tensor([0, 0, 2]), k=[1, 3])
    assert apart["text_to_picture_1"] == pytest.approx(2 / 3)
    assert together["text_to_picture_1"] == 1
    assert apart["text_to_picture_3"] == apart["picture_to_text_3"] == 1


@pytest.mark.parametrize(
    ("change", "message"), [({"held_out": 1.5}, "--held-out"), ({"steps": 0}, "--steps")]
)
def test_settings_that_cannot_be(made: Path, tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InvalidRun, match=message):
        Tuner(config(made, tmp_path, **change))


def _gradient(rank: int, folder: str) -> None:
    """The gradient that two processes agree on, each with one half of a step's pairs."""
    path = Path(folder)
    meeting = f"file://{path / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    loss = ContrastiveLoss(ChineseCLIPModel.from_pretrained(path / "model").eval())
    pairs = torch.load(path / "pairs.pt")
    loss(Batch(**{name: value.chunk(2)[rank] for name, value in pairs.items()})).backward()
    gradients = []
    for weight in loss.parameters():
        torch.distributed.all_reduce(weight.grad)
        gradients.append(weight.grad / 2)
    if rank == 0:
        torch.save(gradients, path / "gradients.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_gradient_of_one_with_all_pairs(made: Path, tmp_path: Path) -> None:
    tuner = Tuner(config(made, tmp_path / "run"))
    batch = tuner.batches.at(0)
    (tmp_path / "model").symlink_to(made / "model")
    torch.save(vars(batch), tmp_path / "pairs.pt")
    torch.multiprocessing.spawn(_gradient, args=(str(tmp_path),), nprocs=2)
    loss = ContrastiveLoss(tuner.model.eval())
    loss(batch).backward()
    ours = torch.load(tmp_path / "gradients.pt")
    for found, weight in zip(ours, loss.parameters(), strict=True):
        torch.testing.assert_close(found, weight.grad, atol=1e-5, rtol=1e-3)
