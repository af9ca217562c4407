"""A run's folder: what the run in it is made with, and whether given settings go on with that run."""

from __future__ import annotations

import fcntl
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.bundle import sha256_of
from models.prompt import PromptTemplate
from models.training.checkpoint import CHECKPOINT, read_config
from models.training.config import PLACES, InvalidRun, TrainingConfig

_LOCK = ".lock"
_USUAL_SIZES = {"d_model": 256, "layers": 6}
# What may change when a run goes on: data are compared by content, and length, speed and machine are free.
_FREE = {*PLACES, "steps", "minutes", "checkpoint_minutes", "threads", "device", "accumulate"}
_CONTENTS = {"corpus_sha256": "train.jsonl", "keywords_sha256": "the keyword list", "prompt": "the prompt"}


def begun(out: Path) -> bool:
    """Whether the folder holds a run that goes on."""
    return (out / CHECKPOINT).exists()


def settled(config: TrainingConfig) -> TrainingConfig:
    """`config` with the sizes that it leaves open: of the run itself, of `--init`, or the usual ones.

    Raises InvalidRun where they contradict `--init`.
    """
    sizes: Mapping[str, Any] = _USUAL_SIZES
    if begun(Path(config.out)):
        sizes = read_config(Path(config.out))
    elif config.init:
        sizes = read_config(Path(config.init))
        for name in ("arch", *_USUAL_SIZES):
            if getattr(config, name) and getattr(config, name) != sizes[name]:
                raise InvalidRun(
                    f"--init {config.init} has {name} {sizes[name]}, not {getattr(config, name)}"
                )
    return replace(config, **{name: getattr(config, name) or sizes[name] for name in _USUAL_SIZES})


def facts_of(config: TrainingConfig, template: PromptTemplate, *, processes: int) -> dict[str, Any]:
    """The settings with what they stand for: data by content, code by commit, versions."""
    return {
        **asdict(config),
        "processes": processes,
        "prompt": template.to_manifest(),
        "corpus_sha256": sha256_of(Path(config.corpus) / "train.jsonl"),
        "keywords_sha256": sha256_of(Path(config.keywords)),
        "code": code_version(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers")},
    }


def code_version() -> str | None:
    """The commit of this code, with `-dirty` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def check_continuation(out: Path, facts: Mapping[str, Any]) -> None:
    """Raises InvalidRun where a run lies in `out` that is not the one that `facts` describe."""
    if not begun(out):
        return
    found = list(_differences({**_defaults(), **read_config(out)}, facts))
    if found:
        raise InvalidRun(f"{out} holds another run: {'; '.join(found)}. Give its settings, or another --out")


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(_defaults().keys() - _FREE):
        if there[name] != here[name]:
            yield f"{name} {there[name]} there, {here[name]} here"
    batches, others = (facts["accumulate"] * facts["processes"] for facts in (there, here))
    if batches != others:
        yield f"{batches} batches a step (accumulate × processes) there, {others} here"
    for name in ("init", "vocab"):
        # A folder may have been moved, and is not read again.
        if Path(there[name]).name != Path(here[name]).name:
            yield f"{name} {there[name] or 'none'} there, {here[name] or 'none'} here"
    for name in ("steps", "minutes"):
        if bool(there[name]) != bool(here[name]):
            yield f"{name} {there[name]} there, {here[name]} here"
    for name, meaning in _CONTENTS.items():
        if there.get(name, here[name]) != here[name]:
            yield f"{meaning} is not the same"


def _defaults() -> dict[str, Any]:
    """What is true of a run that is older than a setting."""
    return {field.name: field.default for field in fields(TrainingConfig)} | {"processes": 1}


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds the folder for this process until it ends, in whatever way.

    Raises InvalidRun where another process holds it.
    """
    with (out / _LOCK).open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidRun(f"{out}: another process is training there") from None
        yield
