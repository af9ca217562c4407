"""One poem and its words, for the tests of training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from models.tokenizer import CharacterTokenizer
from models.training.config import TrainingConfig
from models.training.corpus import Poem
from models.training.dataset import ExampleMaker
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import MinedWord
from models.training.vocabulary import build_tokenizer, template_for

LINES = ("白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼")
POEM = Poem(form="wujue", dynasty="tang", author="王之涣", title="登鹳雀楼", lines=LINES)
WORDS = [MinedWord(word=word, count=30, category="land") for word in ("白日", "黄河", "千里", "一层")]


def maker(arch: str) -> ExampleMaker:
    return ExampleMaker(arch, tokenizer(arch), template_for(arch), KeywordSampler(WORDS, 1000))


def tokenizer(arch: str) -> CharacterTokenizer:
    return build_tokenizer([POEM], template_for(arch), least=1)


def run_config(folder: Path, **settings: object) -> TrainingConfig:
    """A small run on one poem, told sixteen times over."""
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for name in ("train", "validation"):
        (corpus / f"{name}.jsonl").write_text((json.dumps(asdict(POEM)) + "\n") * 16, encoding="utf-8")
    rows = "".join(f"{row.word}\t{row.count}\t{row.category}\t1\n" for row in WORDS)
    (folder / "keywords.tsv").write_text(f"word\tcount\tcategory\tvisual\n{rows}", encoding="utf-8")
    defaults = {
        "arch": "gpt2",
        "corpus": str(corpus),
        "keywords": str(folder / "keywords.tsv"),
        "out": str(folder / "run"),
        "d_model": 64,
        "layers": 2,
        "batch": 4,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
    }
    return TrainingConfig(**{**defaults, **settings})
