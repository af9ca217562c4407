"""Poems written for an evaluation, kept in a file so that they can be measured again without writing anew.

The file is JSON Lines: a header that says by whom and how, then a poem a line in any order:

    {"bundle": "t5", "fingerprint": "3f…", "way": "Poet.compose, its defaults", "split": "test", …}
    {"index": 17, "form": "qijue", "keywords": ["明月", …], "lines": ["…", …]}

A poem depends on the bundle, the header's settings and its index alone, not on how many are written or in
how many processes. A run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, open_bundle
from models.choice import LineJudge
from models.clip import Encoder
from models.poet import Poet
from models.sampling import Sampling
from models.training.progress_bar import progress_bar
from models.training.quality.prompts import Prompt

# Named in the header of every file of poems: to be renewed whenever `compose` writes in another way, so that
# poems written the old way are not taken for its own.
WAY = "as a server: keywords made likelier, each line of several by keywords and the text encoder"
LINE_CHOICES = 4
"""Of how many lines each line is chosen; a server's default."""


@dataclass(frozen=True, kw_only=True)
class WrittenPoem:
    """A poem by the bundle, and the index of the prompt that it was written from."""

    index: int
    form: str
    keywords: tuple[str, ...]
    lines: tuple[str, ...]


def compose(
    poet: Poet, prompt: Prompt, sampling: Sampling, *, line_choices: int = 1, encoder: Encoder | None = None
) -> WrittenPoem:
    """One poem as a server writes it where the caller wishes for nothing but keywords and form."""
    lines = [""] * prompt.form.lines
    for token in poet.compose(
        prompt.keywords,
        form=prompt.form,
        sampling=sampling,
        seed=prompt.index,
        line_choices=line_choices,
        judge=_judge(prompt, encoder),
    ):
        lines[token.line] += token.text
    return WrittenPoem(
        index=prompt.index, form=prompt.form.name, keywords=prompt.keywords, lines=tuple(lines)
    )


def _judge(prompt: Prompt, encoder: Encoder | None) -> LineJudge:
    if encoder is None:
        return LineJudge()
    mean = encoder.encode_texts(list(prompt.keywords)).mean(axis=0)
    return LineJudge(query=mean / np.linalg.norm(mean), encode=encoder.encode_texts)


def write_poems(
    bundle: Bundle,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    line_choices: int = 1,
    encoder: Path | None = None,
    processes: int = 1,
    path: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[WrittenPoem]:
    """A poem for each prompt, in their order.

    Args:
        bundle: the poet's.
        prompts: what to write from.
        sampling: how characters are drawn.
        line_choices: of how many lines each line is chosen; 1 is off.
        encoder: a bundle whose text encoder helps to choose; without one keywords alone count.
        processes: how many write side by side, each on one thread.
        path: a file of poems, taken up where bundle and settings are the same, else begun anew; None keeps
            none.
        settings: what else the prompts depend on; for the header.
    """
    facts = {
        "bundle": bundle.name,
        "fingerprint": bundle.fingerprint,
        "way": WAY,
        "line_choices": line_choices,
        "encoder": open_bundle(encoder).fingerprint if encoder else None,
    }
    header = json.loads(json.dumps({**facts, "sampling": asdict(sampling), **(settings or {})}))
    written = {poem.index: poem for poem in _taken_up(path, header, prompts)}
    missing = [prompt for prompt in prompts if prompt.index not in written]
    done = len(prompts) - len(missing)
    with ExitStack() as stack:
        file = stack.enter_context(path.open("a", encoding="utf-8")) if path else None
        progress = stack.enter_context(progress_bar(total=len(prompts), done=done, unit="poem"))
        for poem in _written(bundle, missing, (sampling, line_choices), encoder, processes):
            written[poem.index] = poem
            progress.update()
            if file:
                file.write(_row(vars(poem)))
                file.flush()
    return [written[prompt.index] for prompt in prompts]


def _written(
    bundle: Bundle,
    prompts: Sequence[Prompt],
    manner: tuple[Sampling, int],
    encoder: Path | None,
    processes: int,
) -> Iterator[WrittenPoem]:
    if not prompts:
        return
    if processes == 1:
        _open(bundle.path, encoder)
        yield from (_compose(prompt, manner) for prompt in prompts)
        return
    # Threads of ONNX Runtime do not survive a fork.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_open, initargs=(bundle.path, encoder)) as pool:
        yield from pool.map(_compose, prompts, [manner] * len(prompts), chunksize=8)


_models: dict[str, Any] = {}
"""The poet and the encoder of this process."""


def _open(poet: Path, encoder: Path | None) -> None:
    _models["poet"] = Poet.open(open_bundle(poet, kind="poet"), threads=1)
    _models["encoder"] = Encoder.open(open_bundle(encoder, kind="encoder"), threads=1) if encoder else None


def _compose(prompt: Prompt, manner: tuple[Sampling, int]) -> WrittenPoem:
    sampling, line_choices = manner
    return compose(_models["poet"], prompt, sampling, line_choices=line_choices, encoder=_models["encoder"])


def _taken_up(path: Path | None, header: Mapping[str, Any], prompts: Sequence[Prompt]) -> list[WrittenPoem]:
    """The poems that the file holds already; it is begun, or begun anew, where they are of no use."""
    if path is None:
        return []
    rows = list(_whole_rows(path)) if path.exists() else []
    keywords = {prompt.index: prompt.keywords for prompt in prompts}
    poems = [_poem(row) for row in rows[1:]] if rows and rows[0] == header else []
    if any(keywords.get(poem.index, poem.keywords) != poem.keywords for poem in poems):
        poems = []
    # Written anew in any case: the last line may have been cut off.
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(_row(header) + "".join(_row(vars(poem)) for poem in poems), encoding="utf-8")
    part.replace(path)
    return poems


def _whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        yield json.loads(line)


def _poem(row: Mapping[str, Any]) -> WrittenPoem:
    return WrittenPoem(
        index=row["index"], form=row["form"], keywords=tuple(row["keywords"]), lines=tuple(row["lines"])
    )


def _row(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def read_aloud(poems: Iterable[WrittenPoem]) -> Iterator[str]:
    """Each poem as people read it, under its keywords; a star marks the ones that it uses."""
    for poem in poems:
        words = " ".join(word + "*" * any(word in line for line in poem.lines) for word in poem.keywords)
        couplets = zip(poem.lines[::2], poem.lines[1::2], strict=True)
        yield "\n".join([f"{poem.index} {words}", *(f"{upper}，{lower}。" for upper, lower in couplets), ""])
