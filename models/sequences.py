"""Sequences that a decoder has read: their caches, to be joined with others' and taken apart again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

GRAIN = 8
"""Lengths that are padded are padded to multiples of this many tokens.

A row's logits are then the same to the last bit whatever stands beside it: ONNX Runtime adds up a row's
products in an order that depends on where its tokens stand modulo a few places, and on nothing else.
"""


@dataclass(frozen=True)
class Sequences:
    """N sequences. Immutable: arrays are shared with others, and `rows` says which rows of them are meant.

    Attributes:
        rows: int64 (N,), into the first axis of every array but the caches, of which it is the second.
        lengths: int64 (N,), tokens in the cache.
        caches: of the decoder's layers, float32 (C, M, heads, T, head width); a sequence's token i stands at
            place i of T.
        fixed: what the decoder reads anew each step: float32 (M, heads, S, head width), an encoder's keys and
            values, and `source_mask`, int64 (M, S); a prompt's tokens stand at the beginning of S.
        pending: for each sequence, the tokens to be read before the next one is drawn; at least one.
    """

    rows: np.ndarray
    lengths: np.ndarray
    caches: np.ndarray
    fixed: Mapping[str, np.ndarray]
    pending: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Sequence[int] | np.ndarray) -> Sequences:
        """These of the sequences, int64 (M,); one may be taken several times, or left out. Copies nothing."""
        places = np.asarray(places)
        return Sequences(
            self.rows[places],
            self.lengths[places],
            self.caches,
            self.fixed,
            tuple(self.pending[place] for place in places),
        )

    def reading(self, pending: Sequence[Sequence[int]]) -> Sequences:
        """The same, with these tokens to be read next."""
        return Sequences(self.rows, self.lengths, self.caches, self.fixed, tuple(map(tuple, pending)))


def padded_length(length: int) -> int:
    """The next multiple of GRAIN."""
    return -(-length // GRAIN) * GRAIN


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Ids filled up with 0 to a multiple of GRAIN, and a mask with 1 for the others; both int64 (N, T)."""
    length = padded_length(max(map(len, rows)))
    ids = np.zeros((len(rows), length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask
