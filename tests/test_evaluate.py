"""The evaluation from end to end, with a shipped poet and a corpus of fifty poems."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copytree

import pytest

from models.bundle import open_bundle
from models.prosody import FORMS
from models.sampling import Sampling
from models.training.corpus import Poem, load
from models.training.evaluate import evaluate, keyword_sampler, main
from models.training.quality import writing
from models.training.quality.prompts import prompts
from models.training.quality.writing import WrittenPoem, read_aloud, write_poems
from verse import human_poems

ROOT = Path(__file__).resolve().parent.parent
KEYWORDS = ROOT / "index_builder" / "data" / "keywords.tsv"
GPT2 = ROOT / "models" / "bundles" / "gpt2"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    poems = [
        Poem(form=poem.form.name, dynasty="tang", author=poem.author, title=poem.title, lines=poem.lines)
        for poem in human_poems()
    ]
    for name, own in (("train", poems[::2]), ("validation", poems), ("test", poems[1::2])):
        rows = "".join(json.dumps(asdict(poem), ensure_ascii=False) + "\n" for poem in own)
        (folder / f"{name}.jsonl").write_text(rows, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def asked(corpus):
    return prompts(load(corpus, "test"), keyword_sampler(KEYWORDS), list(FORMS), 2)


@pytest.fixture
def counted(monkeypatch):
    """The indices of the prompts that poems are written from, without a poet."""
    found = []

    def compose(poet, prompt, sampling, **_):
        found.append(prompt.index)
        form = prompt.form
        return WrittenPoem(
            index=prompt.index,
            form=form.name,
            keywords=prompt.keywords,
            lines=("一" * form.characters,) * form.lines,
        )

    monkeypatch.setattr(writing, "compose", compose)
    return found


def test_prompts_are_four_keywords_of_the_poem_and_the_forms_take_turns(asked):
    assert [prompt.index for prompt in asked] == list(range(8))
    assert [prompt.form.name for prompt in asked] == [*FORMS, *FORMS]
    for prompt in asked:
        assert len(set(prompt.keywords)) == len(prompt.keywords) == 4
        assert all(any(word in line for line in prompt.person.lines) for word in prompt.keywords)


def test_few_prompts_are_the_first_of_many_whatever_the_order_of_the_poems(corpus, asked):
    poems = load(corpus, "test")
    few = prompts(poems[::-1], keyword_sampler(KEYWORDS), list(FORMS), 1)
    assert few == asked[:4]
    many = prompts(poems, keyword_sampler(KEYWORDS), list(FORMS), 1000)
    assert sorted(many, key=lambda prompt: prompt.person.text) == sorted(
        prompts(poems, keyword_sampler(KEYWORDS), list(FORMS), 50), key=lambda prompt: prompt.person.text
    )
    assert len(many) == len(poems)


def test_poems_are_written_once(asked, counted, tmp_path):
    path = tmp_path / "poems.jsonl"
    first = write_poems(open_bundle(GPT2), asked[:4], Sampling(), path=path)
    second = write_poems(open_bundle(GPT2), asked, Sampling(), path=path)
    again = write_poems(open_bundle(GPT2), asked[:3], Sampling(), path=path)
    assert counted == list(range(8))
    assert (second[:4], again) == (first, first[:3])


def test_a_run_that_was_broken_off_goes_on(asked, counted, tmp_path):
    path = tmp_path / "poems.jsonl"
    whole = write_poems(open_bundle(GPT2), asked, Sampling(), path=path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.rindex("{") + 20], encoding="utf-8")
    del counted[:]
    assert write_poems(open_bundle(GPT2), asked, Sampling(), path=path) == whole
    assert counted == [7]
    assert path.read_text(encoding="utf-8") == text


def test_poems_of_other_settings_are_not_taken(asked, counted, tmp_path):
    path = tmp_path / "poems.jsonl"
    bundle = open_bundle(GPT2)
    write_poems(bundle, asked[:2], Sampling(), path=path)
    others = [
        (bundle, asked[:2], Sampling(temperature=0.7), {}),
        (replace(bundle, fingerprint="another"), asked[:2], Sampling(), {}),
        (bundle, asked[:2], Sampling(), {"split": "validation"}),
        (bundle, [replace(prompt, keywords=("山",)) for prompt in asked[:2]], Sampling(), {}),
    ]
    for which, prompts_, sampling, settings in others:
        del counted[:]
        write_poems(which, prompts_, sampling, path=path, settings=settings)
        assert counted == [0, 1]


def test_two_processes_write_what_one_writes(asked, tmp_path):
    bundle = open_bundle(GPT2)
    assert write_poems(bundle, asked[:2], Sampling(), processes=2) == write_poems(
        bundle, asked[:2], Sampling()
    )


def test_poems_for_reading():
    poem = WrittenPoem(index=3, form="wujue", keywords=("明月", "江"), lines=("一明月", "二", "三", "四"))
    assert list(read_aloud([poem])) == ["3 明月* 江\n一明月，二。\n三，四。\n"]


def test_the_command_prints_saves_and_records_a_table(corpus, tmp_path, capsys):
    bundle = tmp_path / "gpt2"
    copytree(GPT2, bundle)
    arguments = [
        "--bundle",
        str(bundle),
        "--corpus",
        str(corpus),
        "--keywords",
        str(KEYWORDS),
        "--count",
        "2",
    ]
    arguments += ["--poems", str(tmp_path / "poems.jsonl")]
    main([*arguments, "--out", str(tmp_path / "quality"), "--record"])
    page = (tmp_path / "quality.md").read_text(encoding="utf-8")
    assert page in capsys.readouterr().out
    assert "| ours (people) | 五绝 | 七绝 | 五律 | 七律 | mean | target | met |" in page
    record = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in record["rows"]}
    assert record["fingerprint"] == open_bundle(GPT2).fingerprint
    assert rows["conformity"]["ours"] == dict.fromkeys([*FORMS, "mean"], 1.0)
    assert rows["literal_keyword_use"]["people"]["mean"] == 1
    # Far above chance, which is one in twenty.
    assert rows["meaning_keyword_use"]["people"]["mean"] > 0.5
    assert rows["format_accuracy_unconstrained"]["target"] == "≥ 99 %"
    assert all(value > 0 for value in rows["ngram_perplexity"]["ours"].values())
    assert set(record["figures"]) == set(rows)
    recorded, shipped = open_bundle(bundle).manifest, open_bundle(GPT2).manifest
    assert recorded["evaluation"].items() >= {**record["figures"], "poems_per_form": 2}.items()
    assert {**recorded, "evaluation": None} == {**shipped, "evaluation": None}
    main([*arguments, "--read", "3"])
    assert len(capsys.readouterr().out.strip().split("\n\n")) == 3


def test_figures_for_a_manifest(corpus):
    figures, lines = evaluate(open_bundle(GPT2), corpus, KEYWORDS, count=4, encoder=None)
    assert (figures["prompts"], figures["split"], len(lines)) == (4, "test", 4)
    assert 0 <= figures["literal_keyword_use"] <= 1
    assert "meaning_keyword_use" not in figures
    assert json.loads(json.dumps(figures)) == figures


def test_a_corpus_without_held_out_poems_has_no_figures(corpus, tmp_path):
    for name in ("train", "validation"):
        (tmp_path / f"{name}.jsonl").write_bytes((corpus / f"{name}.jsonl").read_bytes())
    (tmp_path / "test.jsonl").write_text("", encoding="utf-8")
    figures, lines = evaluate(open_bundle(GPT2), tmp_path, KEYWORDS, count=4)
    assert (figures, lines) == ({"prompts": 0, "split": "test"}, [])
