"""A run that is killed, at whatever moment, ends as one that was not."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from models.training import interrupted
from models.training.checkpoint import CHECKPOINT
from models.training.interrupted import alike, demonstrate, losses, steps_of
from models.training.trainer import Trainer
from training_material import run_config
from training_processes import TIMEOUT, Forked, finish, said, start


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupted, "_CHECKPOINT_MINUTES", 0.005)
    config = run_config(tmp_path, out=str(tmp_path / "out"), steps=24)
    assert demonstrate(config, 4, Forked) == 0
    whole, killed = (replace(config, out=f"{config.out}/{name}") for name in ("whole", "killed"))
    assert len(losses(whole)) == 24
    assert losses(killed) == losses(whole)
    assert alike(whole, killed)
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")

    other = replace(config, out=str(tmp_path / "other"), steps=2)
    Trainer(other).run()
    assert not alike(whole, other)


def test_what_a_kill_leaves_while_saving_does_no_harm(tmp_path):
    config = run_config(tmp_path, steps=2)
    Trainer(config).run()
    saved = (tmp_path / "run" / CHECKPOINT).read_bytes()
    (tmp_path / "run" / f".partial-{CHECKPOINT}").write_bytes(saved[: len(saved) // 2])
    longer = Trainer(replace(config, steps=3))
    longer.run()
    assert longer.progress.step == 3
    assert [path.name for path in (tmp_path / "run").glob(".partial*")] == []


def test_two_processes_of_which_one_is_killed_go_on(tmp_path):
    """And learn what one process learns from the same batches."""
    together = run_config(tmp_path, out=str(tmp_path / "together"), steps=12, checkpoint_minutes=0.003)
    running = start(together, processes=2)
    end = time.monotonic() + TIMEOUT
    while steps_of(together) < 6:
        assert time.monotonic() < end
        time.sleep(0.01)
    running[1].kill()
    # The other cannot go on: it ends by itself, and a launcher would end it anyway.
    assert 0 not in finish(running)
    assert finish(start(together, processes=2)) == [0, 0], said(together).read_text()
    alone = Trainer(replace(together, out=str(tmp_path / "alone"), accumulate=2))
    alone.run()
    weights = torch.load(Path(together.out) / CHECKPOINT, weights_only=True)["model"]
    for name, weight in alone.model.state_dict().items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-6)
    assert steps_of(together) == 12
