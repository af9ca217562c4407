"""An engine of sand: logits follow from what a row has read, so that a row that is mixed up is found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.sequences import Sequences, padded
from models.window import Window


class SandEngine:
    """Its cache holds the tokens themselves; the logits are random numbers, seeded with all of them.

    Attributes:
        read_rows: what each row had read, after each step.
        sizes: the rows of each step.
        poison: a step with this token among the row's fails.
    """

    providers = ("none",)
    caches = (1, 1, 1)

    def __init__(self, vocabulary: int, *, poison: int = -1) -> None:
        self._vocabulary = vocabulary
        self.poison = poison
        self.read_rows: list[list[int]] = []
        self.sizes: list[int] = []

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        heads = [list(prompt[:-1]) for prompt in prompts]
        ids, _ = padded(heads)
        return Sequences(
            np.arange(len(heads)),
            np.array([len(head) for head in heads]),
            ids[None, :, None, :, None].astype(np.float32),
            {},
            tuple((prompt[-1],) for prompt in prompts),
        )

    def window(self) -> Window:
        return Window(self)

    def __call__(self, inputs: Mapping[str, np.ndarray], caches: np.ndarray) -> np.ndarray:
        [[tokens]] = np.moveaxis(caches, 1, 2)[..., 0]
        self.sizes.append(len(tokens))
        lengths = inputs["seqlens_k"]
        assert np.array_equal(lengths, inputs["position_ids"][:, 0])
        assert inputs["total_sequence_length"] == [tokens.shape[1]]
        tokens[np.arange(len(tokens)), lengths] = inputs["input_ids"][:, 0]
        rows = [row[: length + 1].astype(int).tolist() for row, length in zip(tokens, lengths, strict=True)]
        if any(self.poison in row for row in rows):
            raise ValueError("poison")
        self.read_rows += rows
        logits = [np.random.default_rng(row).normal(size=self._vocabulary) for row in rows]
        return np.stack(logits).astype(np.float32)
