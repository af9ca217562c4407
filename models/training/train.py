"""Train a poet.

    python -m models.training.train --arch gpt2 --corpus runs/corpus \
        --keywords index_builder/data/keywords.tsv --out runs/gpt2 --minutes 90

AdamW, linear warm-up, cosine decay over the time given, bf16 autocast. A checkpoint is written every few
minutes, and a run started again in the same folder goes on from it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from models.prompt import PromptTemplate
from models.tokenizer import SEP
from models.training.architectures import loss_of, new_model, parameter_groups
from models.training.corpus import Poem, load
from models.training.dataset import (
    ExampleMaker,
    KeywordSampler,
    batches,
    build_tokenizer,
    collate,
    quatrains,
)
from models.training.keywords import read_keywords

CHECKPOINT = "checkpoint.pt"
# Poems that the validation loss is measured on: enough to see the trend, few enough to cost no time.
_VALIDATION = 400


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What a run was started with; saved beside the weights."""

    arch: str
    corpus: str
    keywords: str
    out: str
    minutes: float
    d_model: int
    layers: int
    batch: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    checkpoint_minutes: float
    threads: int
    device: str
    seed: int


@dataclass(kw_only=True)
class Progress:
    """Where a run stands; saved in the checkpoint."""

    step: int = 0
    epoch: int = 0
    poems: int = 0
    seconds: float = 0.0


def template_for(arch: str) -> PromptTemplate:
    """The recipe of `t5` (quatrains, a line at a time) or of `gpt2` (all forms, whole poems)."""
    if arch == "t5":
        return PromptTemplate(close=SEP, forms={name: f"[{name.upper()}]" for name in ("wujue", "qijue")})
    return PromptTemplate()


class Trainer:
    """One training run in one folder."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.out = Path(config.out)
        torch.manual_seed(config.seed)
        self.poems = load(Path(config.corpus), "train")
        self.validation = load(Path(config.corpus), "validation")
        self.template = template_for(config.arch)
        self.tokenizer = build_tokenizer(self.poems, self.template)
        sampler = KeywordSampler(read_keywords(Path(config.keywords)), len(self.poems))
        if config.arch == "t5":
            self.poems, self.validation = quatrains(self.poems), quatrains(self.validation)
        self.maker = ExampleMaker(config.arch, self.tokenizer, self.template, sampler)
        self.model = new_model(config.arch, self.tokenizer, d_model=config.d_model, layers=config.layers)
        self.model.to(config.device)
        groups = parameter_groups(
            self.model, learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        self.progress = Progress()

    def run(self) -> None:
        """Train until the time is used up, from the last checkpoint where there is one."""
        self._prepare()
        self._resume()
        limit = self.config.minutes * 60
        with tqdm(total=round(limit), unit="s", initial=round(self.progress.seconds)) as bar:
            saved = time.monotonic()
            while self.progress.seconds < limit:
                rng = random.Random(f"{self.config.seed}/{self.progress.epoch}/{self.progress.step}")
                for batch in batches(self.poems, self.config.batch, rng):
                    before = time.monotonic()
                    loss = self._step(batch, rng)
                    self._advance(len(batch), time.monotonic() - before, loss, bar)
                    if self.progress.seconds >= limit:
                        break
                    if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                        self.save()
                        saved = time.monotonic()
                else:
                    self.progress.epoch += 1
        self.save()

    def _prepare(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self.tokenizer.write(self.out / "vocab.txt")
        text = json.dumps(asdict(self.config), indent=2)
        (self.out / "config.json").write_text(text + "\n", encoding="utf-8")

    def _resume(self) -> None:
        path = self.out / CHECKPOINT
        if path.exists():
            state = torch.load(path, weights_only=True, map_location=self.config.device)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])

    def save(self) -> None:
        """Write the checkpoint (temporary file, then rename) and log the validation loss."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        partial = self.out / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.out / CHECKPOINT)
        self._log(validation_loss=self.validation_loss())

    def _step(self, poems: list[Poem], rng: random.Random) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self._schedule()
        loss = self._loss(poems, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _loss(self, poems: list[Poem], rng: random.Random) -> torch.Tensor:
        examples = [self.maker.make(poem, rng) for poem in poems]
        batch = collate(self.config.arch, examples, self.tokenizer.pad_id)
        inputs = {name: value.to(self.config.device) for name, value in batch.items()}
        with torch.autocast(self.config.device, dtype=torch.bfloat16):
            return loss_of(self.model, inputs)

    def _schedule(self) -> float:
        """Factor of the learning rate: warm-up over steps, then cosine over the time, to one hundredth."""
        warm = min(1.0, (self.progress.step + 1) / self.config.warmup_steps)
        done = min(1.0, self.progress.seconds / (self.config.minutes * 60))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss in nats per written token, over the same poems and keywords each time."""
        rng = random.Random(0)
        sample = rng.sample(self.validation, min(_VALIDATION, len(self.validation)))
        self.model.eval()
        parts = [(self._loss(batch, rng).item(), len(batch)) for batch in batches(sample, 50, rng)]
        self.model.train()
        return sum(loss * size for loss, size in parts) / sum(size for _, size in parts)

    def _advance(self, poems: int, seconds: float, loss: float, bar: tqdm) -> None:
        self.progress.step += 1
        self.progress.poems += poems
        self.progress.seconds += seconds
        bar.update(round(self.progress.seconds) - bar.n)
        if self.progress.step % 50 == 0:
            bar.set_postfix(loss=f"{loss:.3f}", poems=self.progress.poems)
            self._log(loss=loss)

    def _log(self, **values: float) -> None:
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(self.progress), **values}) + "\n")


def parse_config() -> TrainingConfig:
    parser = argparse.ArgumentParser(prog="python -m models.training.train", description=__doc__)
    parser.add_argument("--arch", choices=("t5", "gpt2"), required=True)
    parser.add_argument("--corpus", required=True, help="folder written by models.training.corpus")
    parser.add_argument("--keywords", required=True, help="list written by models.training.keywords")
    parser.add_argument("--out", required=True, help="folder of this run; an interrupted run there goes on")
    parser.add_argument("--minutes", type=float, required=True, help="time to train")
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32, help="poems a step")
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--warmup-steps", type=int, default=200)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best)
    parser.add_argument("--seed", type=int, default=0)
    return TrainingConfig(**vars(parser.parse_args()))


def main() -> None:
    config = parse_config()
    torch.set_num_threads(config.threads)
    Trainer(config).run()


if __name__ == "__main__":
    main()
