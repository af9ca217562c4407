"""Examples as in serving, a run that learns, and a run that goes on where it was stopped."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import pytest
import torch

from models.training.corpus import Poem
from models.training.dataset import ExampleMaker, KeywordSampler, build_tokenizer, collate, quatrains
from models.training.keywords import MinedWord
from models.training.train import CHECKPOINT, Trainer, TrainingConfig, template_for

LINES = ("白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼")
POEM = Poem(form="wujue", dynasty="tang", author="王之涣", title="登鹳雀楼", lines=LINES)
WORDS = [MinedWord(word=word, count=30, category="land") for word in ("白日", "黄河", "千里", "一层")]


def maker(arch: str) -> ExampleMaker:
    template = template_for(arch)
    tokenizer = build_tokenizer([POEM], template, least=1)
    return ExampleMaker(arch, tokenizer, template, KeywordSampler(WORDS, 1000))


def texts(arch: str, count: int = 200) -> list[tuple[str, str]]:
    """Source and target of many examples of the poem, as text."""
    tokenizer = build_tokenizer([POEM], template_for(arch), least=1)
    rng = random.Random(0)
    examples = (maker(arch).make(POEM, rng) for _ in range(count))
    return [(tokenizer.decode(e.source), tokenizer.decode(e.target)) for e in examples]


def test_gpt2_reads_the_prompt_and_writes_the_poem():
    for source, target in texts("gpt2"):
        assert source.startswith(("[CLS][WUJUE]关键词：", "[CLS]关键词："))
        assert source.endswith("[EOS]")
        assert target == "[EOS]".join(LINES) + "[SEP]"


def test_t5_reads_the_first_lines_and_writes_the_next():
    places = set()
    for source, target in texts("t5"):
        head, *lines = source.removesuffix("[EOS][SEP]").split("[EOS]")
        assert head.startswith(("[CLS][WUJUE]关键词：", "[CLS]关键词："))
        assert tuple(lines) + tuple(target.removesuffix("[EOS]").split("[EOS]")) == LINES
        places.add(len(lines))
    assert places == {0, 1, 2, 3}


def test_keywords_are_the_poems_own_at_most_one_a_line():
    rng = random.Random(0)
    sampler = KeywordSampler(WORDS, 1000)
    drawn = [sampler.draw(POEM, rng) for _ in range(100)]
    assert {len(keywords) for keywords in drawn} == {1, 2, 3, 4}
    assert {word for keywords in drawn for word in keywords} == {row.word for row in WORDS}


def test_nothing_is_learned_of_prompt_and_padding():
    rng = random.Random(0)
    examples = [maker("gpt2").make(POEM, rng) for _ in range(8)]
    batch = collate("gpt2", examples, 0)
    for row, example in enumerate(examples):
        labels = batch["labels"][row]
        assert labels[labels != -100].tolist() == example.target
        assert batch["input_ids"][row][labels != -100].tolist() == example.target


def test_a_wulv_gives_two_wujue():
    lines = tuple(f"{i}bcde" for i in range(8))
    parts = quatrains(
        [replace(POEM, form="wulv", lines=lines), replace(POEM, form="qilv", lines=lines), POEM]
    )
    assert [part.lines for part in parts] == [lines[:4], lines[4:], LINES]
    assert {part.form for part in parts} == {"wujue"}


@pytest.fixture
def config(tmp_path):
    """A run on one poem, told eight times over."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in ("train", "validation"):
        (corpus / f"{name}.jsonl").write_text((json.dumps(asdict(POEM)) + "\n") * 8, encoding="utf-8")
    rows = "".join(f"{row.word}\t{row.count}\t{row.category}\t1\n" for row in WORDS)
    (tmp_path / "keywords.tsv").write_text(f"word\tcount\tcategory\tvisual\n{rows}", encoding="utf-8")
    return TrainingConfig(
        arch="gpt2",
        corpus=str(corpus),
        keywords=str(tmp_path / "keywords.tsv"),
        out=str(tmp_path / "run"),
        minutes=0.05,
        d_model=64,
        layers=1,
        batch=8,
        learning_rate=3e-3,
        warmup_steps=2,
        weight_decay=0.0,
        checkpoint_minutes=10.0,
        threads=1,
        device="cpu",
        seed=0,
    )


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_a_run_learns(config, arch):
    trainer = Trainer(replace(config, arch=arch))
    before = trainer.validation_loss()
    trainer.run()
    assert trainer.validation_loss() < before - 0.5


def test_a_stopped_run_goes_on(config):
    first = Trainer(config)
    first.run()
    second = Trainer(replace(config, minutes=0.1))
    second.run()
    assert second.progress.step > first.progress.step
    saved = torch.load(second.out / CHECKPOINT, weights_only=True)
    assert saved["progress"] == asdict(second.progress)
    log = [json.loads(line) for line in (second.out / "log.jsonl").read_text().splitlines()]
    losses = [entry["validation_loss"] for entry in log if "validation_loss" in entry]
    assert len(losses) == 2
    assert losses[1] < losses[0]
