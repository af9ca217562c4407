"""Pairs of characters that a poet overuses: found, and lowered in its n-gram model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle, write_bundle
from models.fusion import FILE, STEP, Fusion
from models.tokenizer import CharacterTokenizer
from models.training import calibrate_poet
from models.training.calibrate_poet import lowered, overuse
from models.training.ngram_arrays import ngram_arrays
from models.training.quality import writing
from models.training.quality.writing import WrittenPoem
from training_material import LINES, tokenizer
from verse import human_poems


def test_overuse_is_counted_by_form_beside_as_many_pairs_of_people():
    ours = {"wujue": ["白日白日白", *["白日依山尽"] * 9], "qijue": ["黄河入海流白日"] * 2}
    people = {"wujue": ["白日依山尽", "日依山尽日"], "qijue": ["黄河入海流白日"]}
    found = overuse(ours, people)
    # 五绝: 40 pairs of ours, 8 of people's; 七绝 as people have it, and 白日 stands in both.
    assert found.nats == {"白日": pytest.approx(math.log((2 + 9 + 2 + 5) / (5 + 2 + 5)))}
    assert found.share == pytest.approx((13 - 7) / (40 + 12))


def test_a_lift_falls_by_that_many_nats_and_never_below_nothing():
    poet = tokenizer("gpt2")
    arrays = ngram_arrays(LINES, poet)
    low, found = lowered(arrays, {"白日": 0.3, "依山": 99.0, "日白": 1.0}, poet, ngram=0.5)
    assert found == 2

    def logits(given, before):
        values = np.zeros(len(poet), np.float32)
        fusion = Fusion(given, poet=1.0, ngram=0.5, line_start=poet.eos_id)
        fusion.fuse(values, [poet.eos_id, poet.id_of(before)])
        return values

    change = logits(low, "白") - logits(arrays, "白")
    assert change[poet.id_of("日")] == pytest.approx(-0.3, abs=0.5 * STEP)
    assert np.count_nonzero(change) == 1
    bare = 0.5 * arrays["unigrams"][poet.id_of("山")]
    assert logits(low, "依")[poet.id_of("山")] == pytest.approx(bare, abs=1e-5)
    assert np.array_equal(logits(low, "山"), logits(arrays, "山"))


GPT2 = Path(__file__).resolve().parent.parent / "models" / "bundles" / "gpt2"


@pytest.fixture
def corpus(tmp_path):
    """People's poems."""
    rows = [
        {
            "form": poem.form.name,
            "dynasty": "tang",
            "author": poem.author,
            "title": poem.title,
            "lines": poem.lines,
        }
        for poem in human_poems()
    ]
    for split, own in (("train", rows), ("validation", rows[:4])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own)
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def hackneyed(monkeypatch):
    """A poet who knows two words."""

    def compose(poet, prompt, sampling, **_):
        line = "琵琶不知春风来"[: prompt.form.characters]
        lines = (line,) * prompt.form.lines
        return WrittenPoem(index=prompt.index, form=prompt.form.name, keywords=prompt.keywords, lines=lines)

    monkeypatch.setattr(writing, "compose", compose)


def lift(bundle, pair):
    """Nats that the n-gram model gives to a pair's second character for its first."""
    poet = CharacterTokenizer.read(bundle.file("vocab.txt"))
    fusion = Fusion.of(bundle, line_start=poet.eos_id)
    values = np.zeros(len(poet), np.float32)
    fusion.fuse(values, [poet.eos_id, poet.id_of(pair[0])])
    return float(values[poet.id_of(pair[1])])


def test_the_command_lowers_what_the_poet_wrote_too_often(corpus, hackneyed, tmp_path, capsys):
    out = tmp_path / "out"
    places = ["--bundle", str(GPT2), "--corpus", str(corpus), "--out", str(out)]
    calibrate_poet.main([*places, "--count", "2", "--rounds", "2"])
    before, after = open_bundle(GPT2), open_bundle(out)
    stated = after.manifest["fusion"]["calibrated"][-1]
    assert f"{stated['pairs']} pairs lowered" in capsys.readouterr().out
    assert stated["share_above_people"][0] == stated["share_above_people"][1] > 0.9
    # Twice, as nothing that is lowered changes what this poet writes.
    assert lift(after, "琵琶") < lift(before, "琵琶") - 1
    assert lift(after, "白日") == lift(before, "白日")
    assert math.isclose(stated["nats"], before.manifest["fusion"]["nats"]["fused"], rel_tol=0.5)
    # The poet itself is the same.
    kept = set(after.manifest["files"]) - {FILE}
    assert {name: after.manifest["files"][name] for name in kept} == {
        name: before.manifest["files"][name] for name in kept
    }


def test_a_bundle_without_an_n_gram_model_is_refused(corpus, tmp_path):
    whole = open_bundle(GPT2)
    manifest = {name: value for name, value in whole.manifest.items() if name != "fusion"}
    files = {name: whole.file(name) for name in whole.manifest["files"] if name != FILE}
    write_bundle(tmp_path / "plain", manifest, files)
    with pytest.raises(ValueError, match="no n-gram model"):
        calibrate_poet.main(
            ["--bundle", str(tmp_path / "plain"), "--corpus", str(corpus), "--out", str(tmp_path / "out")]
        )
