"""An engine of sand: logits follow from what a row has read, so that a row that is mixed up is found out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.sequences import Sequences, padded
from models.window import Window

CACHE = "past.0.key"


class SandEngine:
    """Its cache holds the tokens themselves; the logits are random numbers, seeded with all of them.

    Attributes:
        read_rows: what each row had read, after each step.
        sizes: the rows of each step.
        poison: a step with this token among the row's fails.

    `even` is as in Window.
    """

    providers = ("none",)

    def __init__(self, vocabulary: int, *, poison: int = -1, even: bool = False) -> None:
        self._vocabulary = vocabulary
        self.poison = poison
        self._even = even
        self.read_rows: list[list[int]] = []
        self.sizes: list[int] = []

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        heads = [list(prompt[:-1]) for prompt in prompts]
        ids, _ = padded(heads, left=True) if any(heads) else (np.zeros((len(heads), 0)), None)
        return Sequences(
            np.arange(len(heads)),
            np.array([len(head) for head in heads]),
            {CACHE: ids[:, None, :, None].astype(np.float32)},
            {},
            tuple((prompt[-1],) for prompt in prompts),
        )

    def window(self) -> Window:
        return Window(self._step, {CACHE: (1, 1)}, positions=False, even=self._even)

    def _step(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.sizes.append(len(feeds["input_ids"]))
        present = np.concatenate(
            [feeds[CACHE], feeds["input_ids"][:, None, :, None].astype(np.float32)], axis=2
        )
        rows = [
            row[mask.astype(bool)].astype(int).tolist()
            for row, mask in zip(present[:, 0, :, 0], feeds["mask"], strict=True)
        ]
        if any(self.poison in row for row in rows):
            raise ValueError("poison")
        self.read_rows += rows
        logits = [np.random.default_rng(row).normal(size=self._vocabulary) for row in rows]
        return {"logits": np.stack(logits).astype(np.float32), CACHE: present}
