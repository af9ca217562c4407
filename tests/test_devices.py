"""Several processes are one trainer; one process is what it was."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from models.training.checkpoint import Progress
from models.training.config import InvalidRun
from models.training.corpus import Poem
from models.training.devices import Devices, open_devices
from models.training.order import PoemOrder
from models.training.trainer import Trainer
from training_material import POEM, run_config
from training_processes import finish, said, start, weights


def test_two_processes_hold_the_weights_of_one_that_reads_as_much(tmp_path):
    """Also where each adds up several batches before the gradients are averaged."""
    together = run_config(
        tmp_path, arch="t5", out=str(tmp_path / "together"), steps=5, accumulate=2, precision="fp32"
    )
    running = start(together, processes=2)
    alone = Trainer(replace(together, out=str(tmp_path / "alone"), accumulate=4))
    alone.run()
    assert finish(running) == [0, 0], said(together).read_text()
    first, second = weights(together, 0), weights(together, 1)
    for name, weight in alone.model.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight, rtol=0, atol=5e-6)


def poems(count: int) -> list[Poem]:
    return [replace(POEM, title=str(number)) for number in range(count)]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_the_poems_of_a_pass(count):
    """The batches of a step, and the random numbers of each, are the next ones of the one order."""
    progress = [Progress() for _ in range(count)]
    orders = [PoemOrder(poems(23), batch=4, seed=7) for _ in range(count)]
    alone, reference = PoemOrder(poems(23), batch=4, seed=7), Progress()
    for _ in range(8):
        step = [orders[rank].next_of(progress[rank], rank=rank, count=count) for rank in range(count)]
        expected = [alone.next_of(reference) for _ in range(count)]
        assert [(list(some), rng.random()) for some, rng in step] == [
            (list(some), rng.random()) for some, rng in expected
        ]
    assert progress == [reference] * count


def test_a_pass_holds_every_poem_once():
    order, progress = PoemOrder(poems(23), batch=4, seed=random.randrange(99)), Progress()
    read = []
    while progress.epoch == 0:
        read += [poem.title for poem in order.next_of(progress)[0]]
    assert sorted(read) == sorted(poem.title for poem in poems(23))
    assert progress == Progress(epoch=1, poems=23)


def test_precision_is_what_the_device_computes_in(monkeypatch):
    assert Devices("cpu").precision == "bf16"
    assert Devices("cpu", "fp32").precision == "fp32"
    for has_it, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation, has=has_it: has)
        assert Devices("cuda").precision == expected
    with pytest.raises(InvalidRun, match="bf16"):
        Devices("cuda", "bf16")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_run_computes_in_its_precision(tmp_path, precision):
    trainer = Trainer(run_config(tmp_path, steps=1, precision=precision))
    seen = set()
    for block in trainer.model.transformer.h:
        block.mlp.c_fc.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
    trainer.run()
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert {weight.dtype for weight in trainer.model.parameters()} == {torch.float32}


def test_a_launcher_that_started_too_few_processes_is_refused(tmp_path, monkeypatch):
    """`accelerate launch --cpu --num_processes 2` starts one, unless it is given an MPI host file."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    config = run_config(tmp_path, steps=1)
    assert open_devices(config).count == 1
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(InvalidRun, match="--multi_gpu"):
        open_devices(config)
