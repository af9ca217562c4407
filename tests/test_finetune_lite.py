"""Fine-tuning the encoder `lite`: it learns, goes on after a stop, and exports what it learned."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.bundle import open_bundle
from models.clip import Encoder
from models.training import finetune_clip
from models.training.clip_tuning.adapter import Adapter
from models.training.clip_tuning.config import TuningConfig
from models.training.clip_tuning.lite import LiteTuner, is_bundle
from models.training.clip_tuning.shapes import write_model, write_pairs
from models.training.clip_tuning.trainer import LOG, read_log
from models.training.config import InvalidRun

LITE = Path(__file__).parents[1] / "models/bundles/lite"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 drawn shapes with their texts."""
    folder = tmp_path_factory.mktemp("shapes")
    write_pairs(folder, each=2)
    return folder


def config(made: Path, out: Path, **changes: object) -> TuningConfig:
    settings: dict = {
        "source": str(LITE),
        "pairs": str(made / "pairs.jsonl"),
        "out": str(out),
        "steps": 60,
        "batch": 48,
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "precision": "fp32",
    }
    return TuningConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def tuned(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LiteTuner, Path]:
    tuner = LiteTuner(config(made, tmp_path_factory.mktemp("runs") / "run"))
    bundle = tuner.run()
    assert bundle is not None
    return tuner, bundle.path


def test_it_learns(tuned: tuple[LiteTuner, Path]) -> None:
    entries = read_log(tuned[0].out / LOG)
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    held = [entry["text_to_picture_10"] for entry in entries if "loss" not in entry]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert held[-1] >= held[0] + 0.2


def test_the_bundle_holds_what_was_trained(tuned: tuple[LiteTuner, Path]) -> None:
    tuner, path = tuned
    bundle = open_bundle(path, kind="encoder")
    assert bundle.name == "lite-tuned"
    assert bundle.manifest["training"]["steps"] == 60
    assert "evaluation" not in bundle.manifest
    for tower in ("image.onnx", "text.onnx"):
        onnx.checker.check_model(onnx.load(path / tower), full_check=True)
    pair = tuner.held_out[0]
    before, after = Encoder.open(open_bundle(LITE), threads=1), Encoder.open(bundle, threads=1)
    batch = tuner.batches.make([pair])
    with torch.no_grad():
        expected = tuner.model.pictures(batch.pixels).numpy()
    vector = after.encode_pictures([pair.picture.read_bytes()])
    np.testing.assert_allclose(vector, expected, atol=2e-3)
    assert np.abs(vector - before.encode_pictures([pair.picture.read_bytes()])).max() > 0.02


def test_a_new_adapter_changes_nothing() -> None:
    rows = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1)
    adapter = Adapter(5, 4)
    assert torch.allclose(adapter.pictures(torch.cat([rows, torch.randn(3, 4)], dim=1)), rows)
    assert torch.allclose(adapter.texts(rows), rows)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    made: Path, tuned: tuple[LiteTuner, Path], tmp_path: Path
) -> None:
    stopped = LiteTuner(config(made, tmp_path / "run", checkpoint_minutes=0.0))
    stopped.out.mkdir()
    # What the frozen towers see is the same in every run.
    stopped.batches = tuned[0].batches
    take = stopped._take_step

    def interrupted() -> float:
        if stopped.step == 20:
            raise KeyboardInterrupt
        return take()

    stopped._take_step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped._train()
    again = LiteTuner(config(made, tmp_path / "run"))
    again.batches = tuned[0].batches
    again._resume()
    assert again.step == 20
    again._train()
    for name, weight in tuned[0].model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_what_cannot_be_tuned_is_said(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidRun, match="keeps the precision"):
        LiteTuner(config(made, tmp_path / "a", export="int8"))
    damaged = tmp_path / "damaged"
    shutil.copytree(LITE, damaged)
    (damaged / "image.onnx").write_bytes(b"")
    options = ["--source", damaged, "--pairs", made / "pairs.jsonl", "--out", tmp_path / "b"]
    monkeypatch.setattr("sys.argv", ["finetune_clip", *map(str, options)])
    with pytest.raises(SystemExit):
        finetune_clip.main()
    assert "image.onnx" in capsys.readouterr().err
    write_model(tmp_path / "model")
    assert not is_bundle(str(tmp_path / "model"))
