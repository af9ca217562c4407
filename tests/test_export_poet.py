"""The exported poets write what PyTorch writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.bundle import CorruptArtifact, write_bundle
from models.engine import open_engine
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer
from models.training.architectures import new_model
from models.training.export_poet import write_poet
from models.training.parity import ParityError, compare_greedy
from models.training.vocabulary import template_for

CHARACTERS = "关键词： 明月光山水花鸟春秋江湖舟楼台风雨云天人"
KEYWORDS = ["明月", "江", "春花", "楼台"]


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def poet(request, tmp_path_factory):
    """A small poet with random weights: (bundle, PyTorch model, opened poet)."""
    arch = request.param
    torch.manual_seed(7)
    template = template_for(arch)
    tokenizer = CharacterTokenizer([*SPECIAL_TOKENS, *template.control_tokens, *CHARACTERS])
    model = new_model(arch, tokenizer, d_model=64, layers=2)
    for parameter in model.parameters():  # as started, every position would choose alike
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.half().float()
    out = tmp_path_factory.mktemp("bundles") / arch
    facts = {"licence": "none, random weights"}
    bundle = write_poet(model, tokenizer, out, name=arch, template=template, facts=facts)
    return bundle, model, Poet.open(bundle)


def test_greedy_equals_torch_id_for_id(poet):
    bundle, model, opened = poet
    for name in opened.forms:
        form = FORMS[name]
        assert compare_greedy(opened, bundle, model, KEYWORDS, form) == form.lines * form.characters


def test_parity_check_notices_other_weights(poet):
    bundle, _, opened = poet
    other = new_model(
        opened.architecture, CharacterTokenizer.read(bundle.file("vocab.txt")), d_model=64, layers=2
    )
    with pytest.raises(ParityError):
        compare_greedy(opened, bundle, other, KEYWORDS, FORMS["qijue"])


def test_a_candidate_does_not_depend_on_its_neighbours(poet):
    _, _, opened = poet
    form = FORMS["wujue"]
    free = opened.constraint(form, Rules(regulated=False))

    def lines(candidates: int) -> list[str]:
        poems = [""] * candidates
        for token in opened.compose(
            KEYWORDS, form=form, sampling=Sampling(), seed=3, constraint=free, candidates=candidates
        ):
            poems[token.candidate] += token.text
        return poems

    assert lines(4)[:2] == lines(2)


def test_cached_steps_equal_one_long_read(poet):
    bundle, _, _ = poet
    engine = open_engine(bundle)
    rng = np.random.default_rng(0)
    prompts = rng.integers(6, 20, (3, 5))
    together = engine.begin(prompts)
    alone = [engine.begin(prompts[row : row + 1]) for row in range(3)]
    for _ in range(4):
        ids = rng.integers(6, 20, (3, 1))
        together.step(ids)
        for row, decoding in enumerate(alone):
            decoding.step(ids[row : row + 1])
    np.testing.assert_allclose(together.logits, np.concatenate([d.logits for d in alone]), atol=1e-4)


def test_weights_are_stored_as_fp16(poet):
    bundle, model, _ = poet
    stored = sum(Path(bundle.path / name).stat().st_size for name in bundle.manifest["files"])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert stored < 3.2 * parameters + 200_000


@pytest.mark.parametrize("field", ["architecture", "prompt", "tokenizer"])
def test_a_manifest_that_describes_no_poet_is_refused(poet, field, tmp_path):
    bundle, _, _ = poet
    facts = {name: value for name, value in bundle.manifest.items() if name != field}
    broken = write_bundle(tmp_path / "broken", facts, {n: bundle.file(n) for n in bundle.manifest["files"]})
    with pytest.raises(CorruptArtifact):
        Poet.open(broken)
