"""The training loop."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from models.tokenizer import CharacterTokenizer
from models.training import checkpoint
from models.training.architectures import new_model, parameter_groups
from models.training.chart import draw_chart
from models.training.checkpoint import LOG, Progress
from models.training.config import TrainingConfig
from models.training.copying import start_copying
from models.training.corpus import Poem, load
from models.training.dataset import Batch, ExampleMaker, batches
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import read_keywords
from models.training.objective import training_loss
from models.training.schedule import faded, rate_factor
from models.training.validation import validate
from models.training.vocabulary import build_tokenizer, extended, template_for

CHART = "chart.png"
# Poems that the validation loss is measured on: enough to see the trend, few enough to cost no time.
_VALIDATION = 400
# The share of a run in which each help to copying fades.
_GUIDANCE_UNTIL = 0.5
_KEYWORD_WEIGHT_UNTIL = 0.5
_TRANSPLANTS_UNTIL = 0.15
# Share of a poem's characters that the original work masks for the auxiliary loss.
_MASKED = 0.15
# Batches that a T5's copying heads are fitted to.
_FITTED = 20


class Trainer:
    """One training run in one folder."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.out = Path(config.out)
        torch.manual_seed(config.seed)
        self.poems = load(Path(config.corpus), "train")
        held_out = load(Path(config.corpus), "validation")
        self.validation = random.Random(0).sample(held_out, min(_VALIDATION, len(held_out)))
        self.template = template_for(config.arch)
        self.model, self.tokenizer = self._start()
        sampler = KeywordSampler(read_keywords(Path(config.keywords)), len(self.poems))
        self.maker = ExampleMaker(config.arch, self.tokenizer, self.template, sampler)
        if config.arch == "t5" and (config.fresh_encoder or not config.init):
            start_copying(self.model, self._first_batches())
        self.model.to(config.device)
        groups = parameter_groups(
            self.model, learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
        self.progress = Progress()
        self._order: tuple[int, list[list[Poem]]] | None = None

    def _start(self) -> tuple[PreTrainedModel, CharacterTokenizer]:
        config = self.config
        if config.init:
            return checkpoint.continued(Path(config.init), Path(config.vocab) if config.vocab else None)
        if config.vocab:
            tokenizer = extended(CharacterTokenizer.read(Path(config.vocab)), self.template)
        else:
            tokenizer = build_tokenizer(self.poems, self.template)
        return new_model(config.arch, tokenizer, d_model=config.d_model, layers=config.layers), tokenizer

    def _first_batches(self) -> list[Batch]:
        rng = random.Random(self.config.seed)
        sample = rng.sample(self.poems, min(len(self.poems), _FITTED * self.config.batch))
        return [self.maker.batch(poems, rng) for poems in batches(sample, self.config.batch, rng)]

    @property
    def done(self) -> float:
        """The share of the run that is behind it."""
        if self.config.steps:
            return min(1.0, self.progress.step / self.config.steps)
        return min(1.0, self.progress.seconds / (self.config.minutes * 60))

    def run(self) -> None:
        """Train to the end, from the last checkpoint where there is one."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.tokenizer.write(self.out / "vocab.txt")
        self.config.write(self.out / "config.json", self.template)
        resumed = checkpoint.resume(self.out, self.model, self.optimizer, self.config.device)
        self.progress = resumed or self.progress
        if resumed is None:
            self._validate()
        saved = time.monotonic()
        with self._bar() as bar:
            while self.done < 1:
                self._step(bar)
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the checkpoint, the validation figures and the chart."""
        checkpoint.save(self.out, self.model, self.optimizer, self.progress)
        self._validate()

    def _validate(self) -> None:
        held = validate(self.model, self.maker, self.validation, bf16=True)
        self._log(validation_loss=held.loss, keyword_accuracy=held.keyword_accuracy)
        draw_chart(self.out / LOG, self.out / CHART)

    def _step(self, bar: tqdm) -> None:
        before = time.monotonic()
        done, config = self.done, self.config
        rate = rate_factor(
            config.schedule, step=self.progress.step, warmup_steps=config.warmup_steps, done=done
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        losses = [self._learn(done) for _ in range(config.accumulate)]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        loss = sum(losses) / len(losses)
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - before
        self._log(loss=loss)
        self._show(bar, loss)

    def _learn(self, done: float) -> float:
        """Add the gradients of the next batch; returns its loss."""
        config = self.config
        poems, rng = self._next()
        transplants = faded(config.transplants, done=done, until=_TRANSPLANTS_UNTIL)
        batch = self.maker.batch(
            poems,
            rng,
            transplant=rng.random() < transplants,
            masking=_MASKED if config.auxiliary else 0.0,
        ).to(config.device)
        with torch.autocast(config.device, dtype=torch.bfloat16):
            loss = training_loss(
                self.model,
                batch,
                keyword_weight=faded(config.keyword_weight, done=done, until=_KEYWORD_WEIGHT_UNTIL, to=1.0),
                guidance=faded(config.guidance, done=done, until=_GUIDANCE_UNTIL),
                auxiliary=config.auxiliary,
            )
        (loss / config.accumulate).backward()
        return loss.item()

    def _next(self) -> tuple[Sequence[Poem], random.Random]:
        """The next poems, and the random numbers to make a batch of them with."""
        progress, seed = self.progress, self.config.seed
        if self._order is None or self._order[0] != progress.epoch:
            rng = random.Random(f"{seed}/{progress.epoch}")
            self._order = (progress.epoch, batches(self.poems, self.config.batch, rng))
        _, order = self._order
        poems, rng = order[progress.place], random.Random(f"{seed}/{progress.epoch}/{progress.place}")
        progress.poems += len(poems)
        progress.place += 1
        if progress.place == len(order):
            progress.epoch, progress.place = progress.epoch + 1, 0
        return poems, rng

    def _bar(self) -> tqdm:
        if self.config.steps:
            return tqdm(total=self.config.steps, initial=self.progress.step, unit="step")
        seconds = round(self.config.minutes * 60)
        return tqdm(total=seconds, initial=round(self.progress.seconds), unit="s")

    def _show(self, bar: tqdm, loss: float) -> None:
        progress = self.progress
        bar.set_postfix(
            {"loss": f"{loss:.3f}", "poems/s": round(progress.poems / progress.seconds, 1)}, refresh=False
        )
        bar.update((progress.step if self.config.steps else round(progress.seconds)) - bar.n)

    def _log(self, **values: float) -> None:
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(self.progress), **values}) + "\n")
