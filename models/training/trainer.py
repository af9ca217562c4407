"""The training loop."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from models.tokenizer import CharacterTokenizer
from models.training import checkpoint
from models.training.architectures import new_model
from models.training.beginning import first_model, prepare_to_copy
from models.training.chart import draw_chart
from models.training.checkpoint import LOG, VOCABULARY, Progress
from models.training.config import InvalidRun, TrainingConfig
from models.training.corpus import Poem
from models.training.dataset import Batch, ExampleMaker
from models.training.devices import Devices
from models.training.keyword_sampler import KeywordSampler
from models.training.material import read_split, read_words
from models.training.objective import training_loss
from models.training.optimizers import new_optimizer
from models.training.order import PoemOrder
from models.training.progress_bar import progress_bar
from models.training.run_folder import begun, check_continuation, facts_of, locked, settled
from models.training.schedule import faded, rate_factor
from models.training.validation import validate
from models.training.vocabulary import template_for

CHART = "chart.png"
# Poems that the validation loss is measured on: enough to see the trend, few enough to cost no time.
_VALIDATION = 400
# The share of a run in which each help to copying fades.
_GUIDANCE_UNTIL = 0.5
_KEYWORD_WEIGHT_UNTIL = 0.5
_TRANSPLANTS_UNTIL = 0.15
# Share of a poem's characters that the original work masks for the auxiliary loss.
_MASKED = 0.15


class _Loss(torch.nn.Module):
    """`training_loss` as a forward pass: the place where gradients of several processes are averaged."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, **weights: float) -> torch.Tensor:
        return training_loss(self.model, batch, **weights)


class Trainer:
    """One training run in one folder, in this process or together with others.

    Raises InvalidRun where settings, data or folder are not such that a run can be made or go on.
    """

    def __init__(self, config: TrainingConfig, devices: Devices | None = None) -> None:
        config.check()
        self.config = config = settled(config)
        self.devices = devices or Devices(config.device, config.precision)
        self.out = Path(config.out)
        self.template = template_for(config.arch)
        words = read_words(Path(config.keywords))
        self.poems = read_split(Path(config.corpus), "train")
        held_out = read_split(Path(config.corpus), "validation")
        self.validation = random.Random(0).sample(held_out, min(_VALIDATION, len(held_out)))
        self.facts = facts_of(config, self.template, processes=self.devices.count)
        check_continuation(self.out, self.facts)
        torch.manual_seed(config.seed)
        self.model, self.tokenizer = self._model()
        self.maker = ExampleMaker(
            config.arch, self.tokenizer, self.template, KeywordSampler(words, len(self.poems))
        )
        if not begun(self.out):
            prepare_to_copy(config, self.model, self.maker, self.poems)
        self.model.to(config.device)
        self.loss = self.devices.shared(_Loss(self.model))
        self.optimizer = new_optimizer(
            self.model,
            name=config.optimizer,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.progress = Progress()
        self.order = PoemOrder(self.poems, batch=config.batch, seed=config.seed)

    def _model(self) -> tuple[PreTrainedModel, CharacterTokenizer]:
        config = self.config
        if not begun(self.out):
            return first_model(config, self.poems, self.template)
        tokenizer = checkpoint.read_vocabulary(self.out / VOCABULARY)
        return new_model(config.arch, tokenizer, d_model=config.d_model, layers=config.layers), tokenizer

    @property
    def done(self) -> float:
        """The share of the run that is behind it."""
        if self.config.steps:
            return min(1.0, self.progress.step / self.config.steps)
        return min(1.0, self.progress.seconds / (self.config.minutes * 60))

    def run(self) -> None:
        """Train to the end, from the last checkpoint where there is one."""
        if not self.devices.main:
            self._train()
            return
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidRun(f"--out {self.out}: {error.strerror}") from None
        with locked(self.out):
            self._train()

    def _train(self) -> None:
        self._resume()
        if self.done == 1:
            print(f"{self.out}: all is done, up to step {self.progress.step}", file=sys.stderr)
            return
        saved = time.monotonic()
        with self._bar() as bar:
            while self.done < 1:
                self._step(bar)
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def _resume(self) -> None:
        resumed = checkpoint.resume(self.out, self.model, self.optimizer, self.config.device)
        self.progress = resumed or self.progress
        if not self.devices.main:
            return
        checkpoint.write_config(self.out, self.facts)
        checkpoint.cut_log(self.out / LOG, resumed)
        if resumed is None:
            checkpoint.renew(self.out / VOCABULARY, self.tokenizer.write)
            self._validate()
        self._draw()

    def save(self) -> None:
        """Write the validation figures, the checkpoint and the chart."""
        if self.devices.main:
            # Logged before it is saved: what a checkpoint is older than is cut from the log.
            self._validate()
            checkpoint.save(self.out, self.model, self.optimizer, self.progress)
            self._draw()

    def _validate(self) -> None:
        held = validate(self.model, self.maker, self.validation, bf16=self.devices.precision == "bf16")
        self._log(validation_loss=held.loss, keyword_accuracy=held.keyword_accuracy)

    def _draw(self) -> None:
        checkpoint.renew(self.out / CHART, lambda partial: draw_chart(self.out / LOG, partial))

    def _step(self, bar: tqdm) -> None:
        before = time.monotonic()
        done, config = self.done, self.config
        rate = rate_factor(
            config.schedule, step=self.progress.step, warmup_steps=config.warmup_steps, done=done
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        own = self._learn(done)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.progress.step += 1
        seconds = self.progress.seconds + time.monotonic() - before
        loss, self.progress.seconds = self.devices.agreed(own, seconds)
        self._log(loss=loss)
        self._show(bar, loss)

    def _learn(self, done: float) -> float:
        """Make the mean gradient of the next batches of all processes; returns the own batches' mean loss."""
        losses = []
        for left in reversed(range(self.config.accumulate)):
            poems, rng = self.order.next_of(self.progress, rank=self.devices.rank, count=self.devices.count)
            with self.devices.gathering(self.loss) if left else nullcontext():
                losses.append(self._add_gradient(poems, rng, done))
        return sum(losses) / len(losses)

    def _add_gradient(self, poems: Sequence[Poem], rng: random.Random, done: float) -> float:
        config = self.config
        transplants = faded(config.transplants, done=done, until=_TRANSPLANTS_UNTIL)
        batch = self.maker.batch(
            poems,
            rng,
            transplant=rng.random() < transplants,
            masking=_MASKED if config.auxiliary else 0.0,
        ).to(config.device)
        with self.devices.autocast():
            loss = self.loss(
                batch,
                keyword_weight=faded(config.keyword_weight, done=done, until=_KEYWORD_WEIGHT_UNTIL, to=1.0),
                guidance=faded(config.guidance, done=done, until=_GUIDANCE_UNTIL),
                auxiliary=config.auxiliary,
            )
        (loss / config.accumulate).backward()
        return loss.item()

    def _bar(self) -> tqdm:
        shown, progress = self.devices.main, self.progress
        if self.config.steps:
            return progress_bar(total=self.config.steps, done=progress.step, unit="step", shown=shown)
        seconds = round(self.config.minutes * 60)
        return progress_bar(total=seconds, done=round(progress.seconds), unit="s", shown=shown)

    def _show(self, bar: tqdm, loss: float) -> None:
        progress = self.progress
        bar.set_postfix(
            {"loss": f"{loss:.3f}", "poems/s": round(progress.poems / progress.seconds, 1)}, refresh=False
        )
        bar.update((progress.step if self.config.steps else round(progress.seconds)) - bar.n)

    def _log(self, **values: float) -> None:
        if self.devices.main:
            with (self.out / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**asdict(self.progress), **values}) + "\n")
