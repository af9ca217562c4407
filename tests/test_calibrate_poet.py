"""Pairs of characters that a poet overuses: found, and lowered in its n-gram model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle, write_bundle
from models.fusion import FILE, STEP, Fusion, read_arrays
from models.tokenizer import CharacterTokenizer
from models.training import calibrate_poet
from models.training.calibrate_poet import lowered, overuse
from models.training.fuse_poet import with_arrays
from models.training.ngram_arrays import ngram_arrays
from models.training.quality import writing
from models.training.quality.writing import WrittenPoem
from training_material import LINES, tokenizer
from verse import human_poems


def test_overuse_is_counted_by_form_beside_as_many_pairs_of_people():
    ours = {"wujue": ["白日依山尽"] * 10, "qijue": ["白日白日白日白"] * 2}
    people = {"wujue": ["白日依山尽"], "qijue": ["白日白日白日白", "黄河入海流千里", "黄河入海流千里"]}
    found = overuse(ours, people)
    # 五绝 as people have it, 10 times as many. In 七绝 we wrote 12 pairs, half of them 白日 and half 日白; of
    # people's 18 they are 3 each. People used 白日 4 times; 日白, 黄河 and the like 2 to 3 times.
    prior, other = 5 * (10 + 6) / (10 + 2), 5 * 6 / (2 + 6 * 4 / 3)
    assert found.nats == {
        "白日": pytest.approx(math.log((16 + prior) / (12 + 5))),
        "日白": pytest.approx(math.log((6 + other) / (2 + 5))),
    }
    # Of all that people used 2 to 3 times we wrote 6, and 10 were due.
    assert found.share == pytest.approx((16 - 12) / (40 + 12))


def test_a_pair_that_was_not_written_is_judged_by_those_that_people_use_as_often():
    common = ["春风不知处", "明月松间照"]
    people = {"wujue": [*common * 8, "深林人自幽", "桃李满天下"]}
    found = overuse({"wujue": ["春风不知处"] * 90}, people)
    # 8 of 9 words are common, and all that was written is.
    assert found.share == pytest.approx(1 / 9)
    assert found.nats["春风"] > found.nats["不知"] / 2 > 0
    assert set(found.nats) == {"春风", "风不", "不知", "知处"}
    # With so few that each says nothing, all common ones are above.
    few = overuse({"wujue": ["春风不知处"]}, people).nats
    assert few["明月"] > 0
    assert "深林" not in few


def test_a_lift_falls_by_that_many_nats_below_nothing_too_but_not_without_end():
    poet = tokenizer("gpt2")
    arrays = ngram_arrays(LINES, poet)
    low, found = lowered(arrays, {"白日": 0.3, "依山": 99.0, "日白": 1.0}, poet, ngram=0.5)
    assert found == 2

    def logits(given, before):
        [values] = rows = np.zeros((1, len(poet)), np.float32)
        fusion = Fusion(given, poet=1.0, ngram=0.5, line_start=poet.eos_id)
        fusion.fuse(rows, [[poet.eos_id, poet.id_of(before)]])
        return values

    change = logits(low, "白") - logits(arrays, "白")
    assert change[poet.id_of("日")] == pytest.approx(-0.3, abs=0.5 * STEP)
    assert np.count_nonzero(change) == 1
    held_down = 0.5 * (arrays["unigrams"][poet.id_of("山")] - 5.0)
    assert logits(low, "依")[poet.id_of("山")] == pytest.approx(held_down, abs=1e-5)
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
        line = "白日不知春风来"[: prompt.form.characters]
        lines = (line,) * prompt.form.lines
        return WrittenPoem(index=prompt.index, form=prompt.form.name, keywords=prompt.keywords, lines=lines)

    monkeypatch.setattr(writing, "compose", compose)


def lift(bundle, pair):
    """Nats by which the n-gram model lifts a pair's second character after its first."""
    poet = CharacterTokenizer.read(bundle.file("vocab.txt"))
    fusion = Fusion.of(bundle, line_start=poet.eos_id)
    [values] = rows = np.zeros((1, len(poet)), np.float32)
    fusion.fuse(rows, [[poet.eos_id, poet.id_of(pair[0])]])
    last = poet.id_of(pair[1])
    return float(values[last] - fusion.ngram * read_arrays(bundle.file(FILE))["unigrams"][last])


@pytest.fixture
def untaught(tmp_path):
    """The shipped poet as before any calibration: no pair of its n-gram model is held down."""
    shipped = open_bundle(GPT2)
    arrays = read_arrays(shipped.file(FILE))
    lifts = np.maximum(arrays["lifts"], 0)
    return with_arrays(shipped, tmp_path / "untaught", {**arrays, "lifts": lifts}, {})


def test_the_command_lowers_what_the_poet_wrote_too_often(corpus, hackneyed, untaught, tmp_path, capsys):
    out = tmp_path / "out"
    places = ["--bundle", str(untaught.path), "--corpus", str(corpus), "--out", str(out)]
    calibrate_poet.main([*places, "--count", "2", "--rounds", "2"])
    before, after = untaught, open_bundle(out)
    stated = after.manifest["fusion"]["calibrated"][-1]
    assert f"{stated['pairs']} pairs lowered" in capsys.readouterr().out
    assert stated["share_above_people"][0] == stated["share_above_people"][1] > 0
    # Twice, as nothing that is lowered changes what this poet writes.
    assert lift(after, "白日") < lift(before, "白日") - 0.5
    assert lift(after, "依山") == lift(before, "依山") > 0
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
