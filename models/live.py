"""Tasks that are in the engine's batch, and where their rows stand when they are treated together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from models.sampling import Sampling
from models.tasks import Progress
from models.window import Member


class Live:
    """A task that is in the batch; `pending` are the tokens of each row that the decoder has not read yet,
    `lines` and `weights` what the task said of its rows in this step."""

    def __init__(self, progress: Progress, member: Member) -> None:
        self.progress = progress
        self.task = progress.task
        self.member = member
        self.pending = [list(tokens) for tokens in progress.begun.pending]
        self.lines: list[Sequence[int]] = []
        self.weights: list[np.ndarray] = []


def rows_of(tasks: Sequence[Live], logits: np.ndarray) -> np.ndarray:
    """The rows of these tasks, one task after the other; not copied where they are all."""
    rows = np.concatenate([live.member.rows for live in tasks])
    return logits if np.array_equal(rows, np.arange(len(logits))) else logits[rows]


def row_slices(tasks: Sequence[Live]) -> list[slice]:
    """Where each task's rows stand, one task after the other."""
    ends = list(accumulate(len(live.member.rows) for live in tasks))
    return [slice(end - len(live.member.rows), end) for live, end in zip(tasks, ends, strict=True)]


def alike(tasks: Sequence[tuple[Live, slice]]) -> list[list[tuple[Live, slice]]]:
    """Tasks, and where their rows stand, by their way of drawing."""
    groups: dict[Sampling, list[tuple[Live, slice]]] = {}
    for live, place in tasks:
        groups.setdefault(live.task.sampling, []).append((live, place))
    return list(groups.values())
