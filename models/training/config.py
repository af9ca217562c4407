"""What a training run is started with."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass, fields, replace

import torch

from models.training.architectures import HEAD
from models.training.optimizers import OPTIMIZERS
from models.training.schedule import SCHEDULES

# What says where a run lies, and nothing of how it was made.
PLACES = ("corpus", "keywords", "out", "init", "vocab")
PRECISIONS = ("auto", "bf16", "fp32")
# Settings that are at least so much, where it is not 0.
_LEAST = {"batch": 1, "accumulate": 1, "threads": 1}


class InvalidRun(ValueError):
    """Settings, data or a folder that no run can be made with; the message is for the command line."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a run; each is an option of `models.training.train`, where it is described."""

    arch: str
    corpus: str
    keywords: str
    out: str
    steps: int = 0
    minutes: float = 0.0
    init: str = ""
    vocab: str = ""
    fresh_encoder: bool = False
    d_model: int = 0
    layers: int = 0
    batch: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 100
    weight_decay: float = 0.05
    guidance: float = 0.3
    transplants: float = 0.4
    keyword_weight: float = 2.0
    auxiliary: float = 0.0
    checkpoint_minutes: float = 5.0
    threads: int = 1
    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0

    def arguments(self) -> list[str]:
        """The words of the command line that give these settings."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value or field.default:
                words += [_flag(field.name)] if value is True else [_flag(field.name), str(value)]
        return words

    def command(self) -> str:
        """The command line that gives these settings, with the places left open."""
        places = {"corpus": "C", "keywords": "K", "out": "RUN"}
        places |= {name: name.upper() for name in ("init", "vocab") if getattr(self, name)}
        return " ".join(["python -m models.training.train", *replace(self, **places).arguments()])

    def check(self) -> None:
        """Raises InvalidRun with the first setting that cannot be."""
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and name != "seed" and value < _LEAST.get(name, 0):
                raise InvalidRun(f"{_flag(name)} {value}: at least {_LEAST.get(name, 0)}")
        if bool(self.steps) == bool(self.minutes):
            raise InvalidRun("give --steps or --minutes")
        if self.d_model % HEAD:
            raise InvalidRun(
                f"--d-model {self.d_model}: a multiple of {HEAD}, the width of an attention head"
            )
        if not 0 <= self.auxiliary < 1:
            raise InvalidRun(f"--auxiliary {self.auxiliary}: a share, less than 1")
        if self.auxiliary and self.arch != "gpt2":
            raise InvalidRun("--auxiliary: the masked keyword loss is GPT2's")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidRun("--device cuda: PyTorch finds no CUDA device here")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parse_config(arguments: list[str] | None = None, *, about: str = "") -> TrainingConfig:
    """Read the command line. Exits with a message where it says what cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.train",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    options = vars(parser.parse_args(arguments))
    config = TrainingConfig(**options)
    try:
        config.check()
    except InvalidRun as error:
        parser.exit(2, f"train: {error}\n")
    return config


def _add_options(parser: argparse.ArgumentParser) -> None:
    default = TrainingConfig(arch="", corpus="", keywords="", out="")

    def add(name: str, text: str, **kind: object) -> None:
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", default=value, help=text, type=type(value), **kind)

    parser.add_argument("--arch", choices=("t5", "gpt2"), required=True)
    parser.add_argument("--corpus", required=True, help="folder written by models.training.corpus")
    parser.add_argument("--keywords", required=True, help="list written by models.training.keywords")
    parser.add_argument("--out", required=True, help="folder of this run; an interrupted run there goes on")
    add("steps", "steps to train; a run planned so resumes exactly")
    add("minutes", "or time to train, for a machine whose speed is not known")
    add("init", "folder of a run or a poet's bundle to start from; its vocabulary too, unless --vocab says")
    add("vocab", "vocab.txt to use: a token a line, control tokens are added at its end")
    parser.add_argument("--fresh-encoder", action="store_true", help="with --init: T5's encoder begins anew")
    add("d-model", "width; left out, that of --init, or else 256")
    add("layers", "layers, of each half of a T5; left out, those of --init, or else 6")
    add("batch", "quatrains that a process reads together; of poems with eight lines half as many")
    add("accumulate", "batches a step, of each process")
    add("optimizer", "of hidden matrices; all else is AdamW's", choices=OPTIMIZERS)
    add("learning-rate", "at its highest")
    add("schedule", "how the learning rate falls", choices=SCHEDULES)
    add("warmup-steps", "steps until it is at its highest")
    add("weight-decay", "of matrices")
    add("guidance", "weight of the attention guidance at first; 0 is off")
    add("transplants", "share of poems with foreign words at first; 0 is off")
    add("keyword-weight", "weight of keywords' characters at first; 1 is off")
    add("auxiliary", "GPT2: share of the loss on masked keywords and ends of lines; 0 is off, originally 0.1")
    add("checkpoint-minutes", "time between two checkpoints")
    # `accelerate launch --cpu` says so in the environment.
    kept_off = os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    best = "cuda" if torch.cuda.is_available() and not kept_off else "cpu"
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best)
    add("precision", "auto is bf16 on a CPU and on a GPU that computes in it, else fp32", choices=PRECISIONS)
    add("seed", "of weights, order and keywords")
