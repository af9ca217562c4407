"""A poet's bundle with an n-gram model in it: made, served, and left aside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.bundle import CorruptArtifact, open_bundle, write_bundle
from models.fusion import FILE
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.training import fuse_poet
from models.training.architectures import new_model
from models.training.bundle_perplexity import Scorer, Verse, verse_of
from models.training.evaluate import keyword_sampler
from models.training.poet_bundle import write_int8, write_poet
from models.training.vocabulary import template_for
from training_material import LINES, POEM, run_config, tokenizer


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def folder(request, tmp_path_factory):
    """A poet of random weights, and the same one with counts of the one poem of the corpus."""
    out = tmp_path_factory.mktemp(request.param)
    run_config(out)
    torch.manual_seed(0)
    model = new_model(request.param, tokenizer(request.param), d_model=64, layers=2)
    write_poet(
        model,
        tokenizer(request.param),
        out / "plain",
        name=request.param,
        template=template_for(request.param),
        facts={"licence": "none"},
    )
    places = {"bundle": out / "plain", "corpus": out / "corpus", "keywords": out / "keywords.tsv"}
    fuse_poet.main(
        [str(word) for name, value in places.items() for word in (f"--{name}", value)]
        + ["--out", str(out / "fused")]
    )
    return out


def written(bundle, **options) -> str:
    poet = Poet.open(bundle, **options)
    free = poet.constraint(FORMS["wujue"], Rules(regulated=False))
    greedy = Sampling(temperature=0.0, frequency_penalty=0.0)
    tokens = poet.compose(["白日"], form=FORMS["wujue"], sampling=greedy, seed=0, constraint=free)
    return "".join(token.text for token in tokens)


def test_a_poet_that_knows_nothing_gains_what_was_counted(folder):
    fusion = open_bundle(folder / "fused").manifest["fusion"]
    assert fusion["ngram"] == max(fuse_poet.NGRAM)
    assert fusion["nats"]["fused"] < fusion["nats"]["alone"] - 0.5
    assert any(line[:3] in written(open_bundle(folder / "fused")) for line in LINES)


def test_what_is_scored_is_what_the_manifest_says(folder):
    bundle = open_bundle(folder / "fused")
    verse = verse_of(POEM, keyword_sampler(folder / "keywords.tsv"))
    for fused, name in ((True, "fused"), (False, "alone")):
        [scored] = Scorer(bundle, fused=fused).score([verse])
        assert scored.nats.mean() == pytest.approx(bundle.manifest["fusion"]["nats"][name], abs=2e-3)


def test_log_probabilities_are_the_mixtures(folder):
    bundle, form = open_bundle(folder / "fused"), FORMS["wujue"]
    poet = Poet.open(bundle)
    free = poet.constraint(form, Rules(regulated=False))
    tokens = list(poet.compose([], form=form, sampling=Sampling(), seed=3, constraint=free))
    lines = tuple("".join(t.text for t in tokens if t.line == line) for line in range(form.lines))
    verse = Verse(form=form, lines=lines)
    [scored] = Scorer(bundle).score([verse])
    found = [token.log_probability for token in tokens]
    np.testing.assert_allclose(found, -scored.nats.ravel(), atol=1e-3)


def test_without_it_the_model_writes_alone(folder):
    alone = written(open_bundle(folder / "fused"), fused=False)
    assert alone == written(open_bundle(folder / "plain"))
    assert alone != written(open_bundle(folder / "fused"))


def test_a_bundle_in_eight_bits_keeps_it(folder):
    small = write_int8(open_bundle(folder / "fused"), folder / "small")
    assert small.file(FILE).read_bytes() == open_bundle(folder / "fused").file(FILE).read_bytes()
    assert written(small) != written(small, fused=False)


@pytest.mark.parametrize("stated", [{"file": "vocab.txt", "poet": 1, "ngram": 1}, {"file": FILE, "poet": 1}])
def test_what_is_no_ngram_model_is_refused(folder, stated):
    bundle = open_bundle(folder / "fused")
    files = {name: bundle.file(name) for name in bundle.manifest["files"]}
    broken = write_bundle(folder / "broken", {**bundle.manifest, "fusion": stated}, files)
    with pytest.raises(CorruptArtifact):
        Poet.open(broken)
