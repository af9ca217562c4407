"""What a training run is started with."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from models.bundle import sha256_of
from models.prompt import PromptTemplate
from models.training.schedule import SCHEDULES

# What says where a run lies, and nothing of how it was made.
PLACES = ("corpus", "keywords", "out", "init", "vocab")


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
    d_model: int = 256
    layers: int = 6
    batch: int = 32
    accumulate: int = 1
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
    seed: int = 0

    def command(self) -> str:
        """The command line that gives these settings, with the places left open."""
        flags = {name: value for name, value in asdict(self).items() if name not in PLACES and value}
        words = [f"--{name.replace('_', '-')}" + ("" if v is True else f" {v}") for name, v in flags.items()]
        places = "".join(f" --{name} {name.upper()}" for name in ("init", "vocab") if getattr(self, name))
        return f"python -m models.training.train --corpus C --keywords K --out RUN{places} {' '.join(words)}"

    def write(self, path: Path, template: PromptTemplate) -> None:
        """Save the settings with what they stand for: data by content, code by commit, versions."""
        facts = {
            **asdict(self),
            "prompt": template.to_manifest(),
            "corpus_sha256": sha256_of(Path(self.corpus) / "train.jsonl"),
            "keywords_sha256": sha256_of(Path(self.keywords)),
            "code": code_version(),
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "transformers")},
        }
        path.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def code_version() -> str | None:
    """The commit of this code, with `-dirty` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def parse_config(arguments: list[str] | None = None, *, about: str = "") -> TrainingConfig:
    """Read the command line. Exits with a message where it says neither or both of steps and minutes."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.train",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    options = vars(parser.parse_args(arguments))
    if bool(options["steps"]) == bool(options["minutes"]):
        parser.error("give --steps or --minutes")
    if options["auxiliary"] and options["arch"] != "gpt2":
        parser.error("--auxiliary: the masked keyword loss is GPT2's")
    return TrainingConfig(**options)


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
    add("init", "folder of a run whose weights to start from; and whose vocabulary, unless --vocab says")
    add("vocab", "vocab.txt to use: a token a line, control tokens are added at its end")
    parser.add_argument("--fresh-encoder", action="store_true", help="with --init: T5's encoder begins anew")
    add("d-model", "width")
    add("layers", "layers, of each half of a T5")
    add("batch", "quatrains read together; of poems with eight lines half as many")
    add("accumulate", "batches a step")
    add("learning-rate", "at its highest")
    add("schedule", "how the learning rate falls", choices=SCHEDULES)
    add("warmup-steps", "steps until it is at its highest")
    add("weight-decay", "of matrices")
    add("guidance", "weight of the attention guidance at first; 0 is off")
    add("transplants", "share of poems with foreign words at first; 0 is off")
    add("keyword-weight", "weight of keywords' characters at first; 1 is off")
    add("auxiliary", "GPT2: share of the loss on masked keywords and ends of lines; 0 is off, originally 0.1")
    add("checkpoint-minutes", "time between two checkpoints")
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best)
    add("seed", "of weights, order and keywords")
