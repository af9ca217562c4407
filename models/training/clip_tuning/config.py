"""What a fine-tuning run is started with."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from models.training.config import InvalidRun

# What says where files lie.
PLACES = ("source", "pairs", "out", "vocabulary")
# What may change when a run goes on.
FREE = {"out", "steps", "threads", "device", "checkpoint_minutes", "evaluate_every", "export"}
_AT_LEAST_ONE = ("steps", "batch", "threads", "evaluate_every")


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """Settings of a run; each is an option of `models.training.finetune_clip`, where it is described."""

    source: str
    pairs: str
    out: str
    steps: int = 1_000
    batch: int = 64
    learning_rate: float = 5e-5
    weight_decay: float = 0.001
    warmup_steps: int = 100
    held_out: float = 0.1
    freeze_image: bool = False
    evaluate_every: int = 100
    checkpoint_minutes: float = 5.0
    threads: int = 1
    device: str = "cpu"
    precision: str = "auto"
    export: str = "fp32"
    vocabulary: str = ""
    seed: int = 0

    def check(self) -> None:
        """Raises InvalidRun with the first setting that cannot be."""
        for name in _AT_LEAST_ONE:
            if asdict(self)[name] < 1:
                raise InvalidRun(f"--{name.replace('_', '-')} {asdict(self)[name]}: at least 1")
        if not 0 < self.held_out < 1:
            raise InvalidRun(f"--held-out {self.held_out}: a share of the pictures, between 0 and 1")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidRun("--device cuda: PyTorch finds no CUDA device here")
