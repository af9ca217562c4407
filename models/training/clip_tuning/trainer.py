"""The loop that fine-tunes a Chinese-CLIP; a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.bundle import Bundle
from models.image import ImageSpec
from models.training.chinese_clip.model import ResNetClip
from models.training.chinese_clip.sources import Source, open_source
from models.training.clip_tuning.chart import draw_chart
from models.training.clip_tuning.config import FREE, PLACES, TuningConfig
from models.training.clip_tuning.objective import ContrastiveLoss, encode, recall
from models.training.clip_tuning.pairs import Batches, Pair, PixelBatches, read_pairs, split
from models.training.config import InvalidRun
from models.training.devices import Devices
from models.training.export_clip import write_encoder
from models.training.progress_bar import progress_bar
from models.training.run_folder import code_version, locked
from models.training.schedule import rate_factor
from models.wordpiece import WordPiece

CHECKPOINT, LOG, CHART = "checkpoint.pt", "log.jsonl", "chart.png"
RANKS = (1, 5, 10)
# Pairs that recall is measured on, and how many of them are encoded at once.
_EVALUATED, _EVALUATED_AT_ONCE = 1_000, 32
_LARGEST_GRADIENT = 1.0


class Tuner:
    """One run in one folder. Raises InvalidRun or InvalidSource where none can be made or go on."""

    def __init__(self, config: TuningConfig, devices: Devices | None = None) -> None:
        config.check()
        self.config = config
        self.devices = devices or Devices(config.device, config.precision)
        self.out = Path(config.out)
        self.model = self._open().to(config.device)
        training, self.held_out = split(
            read_pairs(Path(config.pairs)), share=config.held_out, seed=config.seed
        )
        if not training:
            raise InvalidRun(f"{config.pairs}: too few pictures to hold some of them out")
        self.batches = self._batches(training)
        if config.freeze_image:
            self._image_tower().requires_grad_(False)
        self.loss = self.devices.shared(ContrastiveLoss(self.model))
        self.optimizer = torch.optim.AdamW(self._groups(), lr=config.learning_rate, betas=(0.9, 0.98))
        self.step = 0

    def _open(self) -> Any:
        """The model; it has `logit_scale`, and `objective.encode` knows it."""
        vocabulary = Path(self.config.vocabulary) if self.config.vocabulary else None
        self.source: Source = open_source(self.config.source, vocabulary=vocabulary)
        return self.source.model

    def _batches(self, pairs: list[Pair]) -> Batches:
        return PixelBatches(
            pairs,
            size=self.config.batch,
            seed=self.config.seed,
            spec=ImageSpec.from_manifest(self.source.image),
            tokenizer=_tokenizer(self.source),
        )

    def _image_tower(self) -> torch.nn.Module:
        return self.model.visual if isinstance(self.model, ResNetClip) else self.model.vision_model

    def _groups(self) -> list[dict[str, Any]]:
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        return [
            {"params": [w for w in weights if w.ndim > 1], "weight_decay": self.config.weight_decay},
            {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
        ]

    def run(self) -> Bundle | None:
        """Train to the end, from the last checkpoint where there is one, and export; the bundle, in the
        process that writes it."""
        if not self.devices.main:
            self._resume()
            self._train()
            return None
        self.out.mkdir(parents=True, exist_ok=True)
        with locked(self.out):
            self._resume()
            self._train()
            return self._export()

    def _train(self) -> None:
        saved = time.monotonic()
        bar = progress_bar(total=self.config.steps, done=self.step, unit="step", shown=self.devices.main)
        if self.step == 0:
            self._evaluate()
        while self.step < self.config.steps:
            self._log({"step": self.step + 1, "loss": round(self._take_step(), 5)})
            bar.update()
            last = self.step == self.config.steps
            if last or self.step % self.config.evaluate_every == 0:
                self._evaluate()
            if last or time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                self._save()
                saved = time.monotonic()
        bar.close()

    def _take_step(self) -> float:
        config, devices = self.config, self.devices
        # All that is random in a step follows from its number, so that nothing of it must be saved.
        torch.manual_seed(config.seed * 1_000_003 + self.step * devices.count + devices.rank)
        factor = rate_factor(
            "cosine", step=self.step, warmup_steps=config.warmup_steps, done=self.step / config.steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        batch = self.batches.at(self.step, rank=devices.rank, count=devices.count).to(config.device)
        self._to_training()
        with devices.autocast():
            loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.item()

    def _to_training(self) -> None:
        self.model.train()
        if isinstance(self.model, ResNetClip) or self.config.freeze_image:
            # Moments of small batches would spoil those of the millions of pictures before.
            self._image_tower().eval()

    def _evaluate(self) -> None:
        if self.devices.main:
            figures = evaluate(self.model, self.batches, self.held_out[:_EVALUATED], self.config.device)
            self._log({"step": self.step, **{name: round(value, 4) for name, value in figures.items()}})
            draw_chart(read_log(self.out / LOG), self.out / CHART)

    def _log(self, entry: dict[str, Any]) -> None:
        if self.devices.main:
            with (self.out / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        if not self.devices.main:
            return
        content = {
            "config": asdict(self.config),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with _replacing(self.out / CHECKPOINT) as path:
            torch.save(content, path)

    def _resume(self) -> None:
        path = self.out / CHECKPOINT
        if not path.exists():
            if self.devices.main:
                (self.out / LOG).unlink(missing_ok=True)
            return
        content = torch.load(path, map_location=self.config.device, weights_only=True)
        there, here = content["config"], asdict(self.config)
        other = [f"{name} {there[name]}" for name in here if name not in FREE and there[name] != here[name]]
        if other:
            raise InvalidRun(f"{self.out} holds another run, with {', '.join(other)}; give another --out")
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]
        if self.devices.main:
            _cut_log(self.out / LOG, self.step)

    def _export(self) -> Bundle:
        model = self.model.float().cpu().eval()
        facts = {"training": {**self._facts(), "recall": read_log(self.out / LOG)[-1]}}
        if not isinstance(model, ResNetClip):
            model.save_pretrained(self.out / "model")
            (self.out / "model" / "vocab.txt").write_text("\n".join(self.source.vocabulary) + "\n", "utf-8")
        return write_encoder(
            self.source,
            self.out / "bundle",
            name=Path(self.config.source).stem,
            precision=self.config.export,
            calibration=self._calibration(),
            facts=facts,
        )

    def _facts(self) -> dict[str, Any]:
        """The settings, without what says where a file lies."""
        settings = {name: value for name, value in asdict(self.config).items() if name not in PLACES}
        names = {name: Path(getattr(self.config, name)).name for name in ("source", "pairs")}
        return {**settings, **names, "pairs_trained_on": self.batches.pairs, "code": code_version()}

    def _calibration(self) -> list[np.ndarray]:
        """Pictures of the training, for int8 of a ResNet."""
        if self.config.export != "int8" or not isinstance(self.model, ResNetClip):
            return []
        return list(self.batches.at(0).pixels.numpy())


@torch.no_grad()
def evaluate(model: Any, batches: Batches, pairs: list[Pair], device: str) -> dict[str, float]:
    """Recall on held-out pairs, both ways, over all of them."""
    model.eval()
    rows = []
    for start in range(0, len(pairs), _EVALUATED_AT_ONCE):
        batch = batches.make(pairs[start : start + _EVALUATED_AT_ONCE]).to(device)
        rows.append(encode(model, batch))
    names = {text: place for place, text in enumerate(dict.fromkeys(pair.text for pair in pairs))}
    which = torch.tensor([names[pair.text] for pair in pairs], device=device)
    pictures, texts = (torch.cat(part).float() for part in zip(*rows, strict=True))
    return recall(pictures, texts, which, k=[count for count in RANKS if count <= len(pairs)])


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a run's log: steps with `loss`, evaluations with recall."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _cut_log(path: Path, step: int) -> None:
    """Without what came after the checkpoint."""
    kept = [entry for entry in read_log(path) if entry["step"] <= step]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def _tokenizer(source: Source) -> WordPiece:
    facts = source.tokenizer
    return WordPiece(
        source.vocabulary,
        limit=facts["limit"],
        longest_word=facts["longest_word"],
        lower_case=facts["lower_case"],
        added=facts["added"],
    )


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` that takes its place when the block ends well."""
    beside = path.with_name(f".{path.name}.new")
    yield beside
    os.replace(beside, path)
