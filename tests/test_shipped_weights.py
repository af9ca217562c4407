"""From a run to a bundle, from the bundle to a new run, and on: the poets that are shipped can learn more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.bundle import open_bundle, write_bundle
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.training import export_poet, int8
from models.training.bundle_perplexity import bundle_nats, verse_of
from models.training.checkpoint import load_weights
from models.training.config import InvalidRun
from models.training.corpus import load
from models.training.evaluate import keyword_sampler
from models.training.parity import ParityError, check_perplexity
from models.training.poet_bundle import write_int8
from models.training.trainer import Trainer
from training_material import POEM, run_config

STEPS = 30


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def trained(request, tmp_path_factory):
    """The folder with a run that knows one poem nearly by heart, and its bundle in fp16."""
    folder = tmp_path_factory.mktemp(request.param)
    train(folder, "run", arch=request.param, steps=STEPS)
    (folder / "corpus" / "corpus.json").write_text(json.dumps({"licence": "none"}), encoding="utf-8")
    assert export(folder, "run", "bundle") == 0
    return folder


def train(folder: Path, name: str, **settings: object) -> None:
    torch.manual_seed(0)
    Trainer(run_config(folder, out=str(folder / name), **settings)).run()


def export(folder: Path, run: str, out: str, **options: object) -> int:
    places = {"run": folder / run, "out": folder / out, "corpus": folder / "corpus"}
    flags = places | {"keywords": folder / "keywords.tsv", "prompts": 1} | options
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return export_poet.main([*words, "--no-evaluation"])


def perplexity(folder: Path, name: str) -> float:
    bundle, poems = open_bundle(folder / name), load(folder / "corpus", "validation")[:1]
    return bundle_nats(bundle, poems, keyword_sampler(folder / "keywords.tsv")).perplexity


def test_a_bundle_holds_what_a_run_learned_rounded(trained):
    run, run_vocabulary, settings = load_weights(trained / "run")
    bundle, vocabulary, told = load_weights(trained / "bundle")
    assert vocabulary.vocabulary == run_vocabulary.vocabulary
    assert {name: settings[name] for name in ("arch", "d_model", "layers", "prompt")}.items() <= told.items()
    pairs = zip(run.state_dict().items(), bundle.state_dict().items(), strict=True)
    for (name, learned), (other, shipped) in pairs:
        assert name == other
        assert torch.equal(learned.half().float(), shipped)


def test_a_new_run_starts_from_a_bundle_and_is_exported(trained):
    arch = open_bundle(trained / "bundle").manifest["architecture"]
    train(trained, "more", arch=arch, steps=2, init=str(trained / "bundle"), d_model=0, layers=0)
    settings = json.loads((trained / "more" / "config.json").read_text(encoding="utf-8"))
    assert (settings["d_model"], settings["layers"]) == (64, 2)
    vocabularies = [(trained / name / "vocab.txt").read_bytes() for name in ("run", "bundle", "more")]
    assert len(set(vocabularies)) == 1
    first = json.loads((trained / "more" / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    last = json.loads((trained / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert first["validation_loss"] == pytest.approx(last["validation_loss"], abs=0.05)
    if arch == "t5":
        return  # One architecture is enough: an export takes a few seconds.
    assert export(trained, "more", "bundle-more") == 0
    again = open_bundle(trained / "bundle-more")
    assert again.manifest["prompt"] == open_bundle(trained / "bundle").manifest["prompt"]
    assert "--init INIT" in again.manifest["training"]["command"]
    assert perplexity(trained, "bundle-more") < 1.5 * perplexity(trained, "bundle")


def test_int8_is_as_good_and_a_coarser_rounding_is_refused(trained, tmp_path, monkeypatch):
    bundle, sampler = open_bundle(trained / "bundle"), keyword_sampler(trained / "keywords.tsv")
    assert check_perplexity(write_int8(bundle, tmp_path / "int8"), bundle, [verse_of(POEM, sampler)]) < 1.01
    monkeypatch.setattr(int8, "_LARGEST", 2)
    coarse = write_int8(bundle, tmp_path / "coarse")
    with pytest.raises(ParityError, match="times that of fp32"):
        check_perplexity(coarse, bundle, [verse_of(POEM, sampler)])


def test_the_command_makes_a_bundle_in_int8(trained):
    if open_bundle(trained / "bundle").manifest["architecture"] == "t5":
        pytest.skip("one architecture is enough: an export takes a few seconds")
    assert export(trained, "bundle", "int8", precision="int8") == 0
    bundle = open_bundle(trained / "int8")
    assert bundle.manifest["precision"]["stored"] == "int8"
    assert bundle.manifest["precision"]["perplexity_ratio"] <= 1.01
    assert bundle.manifest["training"] == open_bundle(trained / "bundle").manifest["training"]
    assert perplexity(trained, "int8") == pytest.approx(perplexity(trained, "bundle"), rel=0.01)
    poet, form = Poet.open(bundle), FORMS["wujue"]
    free = poet.constraint(form, Rules(regulated=False))
    tokens = poet.compose(["白日"], form=form, sampling=Sampling(), seed=0, constraint=free)
    assert len(list(tokens)) == len(POEM.text)


def test_what_fails_the_check_is_not_written(tmp_path, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise ParityError("7 instead of 8")

    monkeypatch.setattr(export_poet, "export", fail)
    assert export(tmp_path, "run", "out") == 1
    assert not (tmp_path / "out").exists()
    assert "7 instead of 8" in capsys.readouterr().err


def test_what_no_run_can_start_from_is_refused(trained, tmp_path):
    write_int8(open_bundle(trained / "bundle"), tmp_path / "int8")
    with pytest.raises(InvalidRun, match="take one in fp16 or fp32"):
        load_weights(tmp_path / "int8")
    with pytest.raises(InvalidRun, match="no settings of a run"):
        load_weights(tmp_path)
    bundle = open_bundle(trained / "bundle")
    files = {name: bundle.file(name) for name in bundle.manifest["files"]}
    config = json.loads(files["config.json"].read_text(encoding="utf-8"))
    files["config.json"] = tmp_path / "config.json"
    other = {"layer_norm_epsilon": 1e-3}
    files["config.json"].write_text(json.dumps({**config, **other}), encoding="utf-8")
    write_bundle(tmp_path / "other", bundle.manifest, files)
    with pytest.raises(InvalidRun, match=r"layer_norm_epsilon 0\.001 and not"):
        load_weights(tmp_path / "other")
