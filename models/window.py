"""Sequences of many requests in one batch of decoder steps; they join and leave between steps.

The caches of all rows stand right-aligned in one window of W places, a multiple of GRAIN. A step drops the
leftmost place and appends the new token, so that a row's tokens keep their distance from the window's end
whatever other rows do. T5 knows positions by distance alone, GPT2 is told them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from models.sequences import Sequences, padded_length

Run: TypeAlias = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""Decoder inputs by name to `logits`, float32 (N, V), and the caches after the step by input name."""


class Member:
    """Sequences that are in a window.

    Attributes:
        rows: int64 (N,), where they stand in the batch; changes when others leave.
    """

    def __init__(self, sequences: Sequences, rows: np.ndarray) -> None:
        self.sequences = sequences
        self.rows = rows


class Window:
    """The batch. Used by one thread."""

    def __init__(
        self, run: Run, inputs: dict[str, tuple[int, int]], *, positions: bool, even: bool = False
    ) -> None:
        """`inputs` has the heads and head width of each cache; `positions` says whether the decoder wants
        `position_ids`, `even` whether a step must have an even number of rows: ONNX Runtime takes the rows of
        products in 8 bits by twos, and adds up an odd one that is left in another order."""
        self._run = run
        self._inputs = inputs
        self._positions = positions
        self._even = even
        self._past = {name: _Rows() for name in inputs}
        self._fixed: dict[str, _Rows] = {}
        self._present: dict[str, np.ndarray] = {}
        # Where each row stands in `_present`; −1 for one that has joined since the last step.
        self._before: list[int] = []
        self._holders: list[tuple[Member, int]] = []
        self._lengths = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._holders)

    def join(self, sequences: Sequences) -> Member:
        """Take sequences into the batch, at its end."""
        first = len(self)
        member = Member(sequences, np.arange(first, first + len(sequences)))
        self._holders += [(member, place) for place in range(len(sequences))]
        self._before += [-1] * len(sequences)
        self._lengths = np.concatenate([self._lengths, sequences.lengths])
        for name, value in sequences.fixed.items():
            self._fixed.setdefault(name, _Rows()).put(first, value, sequences.rows)
        return member

    def leave(self, member: Member) -> Sequences:
        """Take a member's sequences out; the last rows of the batch move to their places.

        Returns the sequences as they were after the last step, without pending tokens.
        """
        before = [self._before[row] for row in member.rows]
        lengths = self._lengths[member.rows]
        if -1 in before:
            kept = Sequences(member.sequences.rows, lengths, member.sequences.caches, {}, ((),) * len(before))
        else:
            # Its own places alone: else whoever goes on with it would hold the caches of the whole batch.
            own = np.s_[before, :, -int(lengths.max()) :]
            caches = {name: value[own] for name, value in self._present.items()}
            kept = Sequences(np.arange(len(before)), lengths, caches, {}, ((),) * len(before))
        for row in sorted(member.rows.tolist(), reverse=True):
            self._move(len(self) - 1, row)
        return kept

    def whole(self, member: Member) -> Sequences:
        """A copy of a member's sequences as they are now, with all that they need to go on by themselves."""
        places = [self._before[row] for row in member.rows]
        caches, rows = (
            (member.sequences.caches, member.sequences.rows) if -1 in places else (self._present, places)
        )
        return Sequences(
            np.arange(len(places)),
            self._lengths[member.rows],
            {name: value[rows] for name, value in caches.items()},
            {name: value[member.sequences.rows] for name, value in member.sequences.fixed.items()},
            ((),) * len(places),
        )

    def step_alone(self, sequences: Sequences, ids: np.ndarray) -> tuple[np.ndarray, Sequences]:
        """A step of these sequences without the batch: logits, and the sequences after it."""
        alone = Window(self._run, self._inputs, positions=self._positions, even=self._even)
        member = alone.join(sequences)
        return alone.step(ids), alone.whole(member)

    def clear(self) -> None:
        """Everybody leaves."""
        self._holders, self._before, self._present = [], [], {}
        self._lengths = np.empty(0, dtype=np.int64)

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read one token a row, int64 (N,); returns logits, float32 (N, V). Nothing changes if it raises."""
        width = padded_length(int(self._lengths.max()) + 1)
        in_place = self._in_place()
        # A row that fills up has read nothing, and nobody looks at it.
        spare = np.zeros(len(self) % 2 if self._even else 0, dtype=np.int64)
        lengths = np.concatenate([self._lengths, spare])
        feeds = {
            "input_ids": np.concatenate([ids, spare])[:, None],
            "mask": (np.arange(width) >= (width - 1 - lengths)[:, None]).astype(np.int64),
            **{name: rows.view(len(lengths)) for name, rows in self._fixed.items()},
            **{name: self._cache(name, len(lengths), width - 1, in_place) for name in self._inputs},
        }
        if self._positions:
            feeds["position_ids"] = lengths[:, None]
        present = self._run(feeds)
        logits = present.pop("logits")[: len(self)]
        self._present = present
        self._before = list(range(len(self)))
        self._lengths = self._lengths + 1
        return logits

    def _cache(self, name: str, rows: int, places: int, in_place: int) -> np.ndarray:
        """The rows' caches, (rows, heads, places, head width), what is not theirs zero.

        The first `in_place` rows stand where they stood before.
        """
        heads, width = self._inputs[name]
        past = self._past[name].shaped((rows, heads, places, width))
        past[len(self) :] = 0
        present = self._present.get(name)
        if present is not None and in_place:
            _right_aligned(past[:in_place], present[:in_place])
        for row in range(in_place, len(self)):
            before, length = self._before[row], int(self._lengths[row])
            if before >= 0 and present is not None:
                _right_aligned(past[row], present[before])
            else:
                member, place = self._holders[row]
                cache = member.sequences.caches.get(name) if length else None
                own = None if cache is None else cache[member.sequences.rows[place], :, -length:]
                _right_aligned(past[row], own)
        return past

    def _in_place(self) -> int:
        """How many rows, from the first one on, stand where they stood before."""
        moved = (row for row, before in enumerate(self._before) if row != before)
        return next(moved, len(self._before))

    def _move(self, last: int, row: int) -> None:
        """The last row takes this row's place."""
        for rows in self._fixed.values():
            rows.move(last, row)
        self._before[row] = self._before[last]
        self._before.pop()
        self._holders[row] = self._holders[last]
        self._holders.pop()
        self._lengths[row] = self._lengths[last]
        self._lengths = self._lengths[:last]
        if row < last:
            member, place = self._holders[row]
            member.rows[place] = row


class _Rows:
    """An array with room for more rows, so that few changes of the batch copy all of it."""

    def __init__(self) -> None:
        self._array = np.empty(0)

    def shaped(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32, of this shape with any content; the same memory as long as it is large enough."""
        size = math.prod(shape)
        if self._array.size < size or self._array.ndim > 1:
            self._array = np.zeros(size + size // 2, dtype=np.float32)
        return self._array[:size].reshape(shape)

    def view(self, count: int) -> np.ndarray:
        """The first rows; one that was never put is zero, or what another one was."""
        if count > len(self._array):
            self._array = np.concatenate([self._array, np.zeros_like(self._array[:1])])
        return self._array[:count]

    def put(self, first: int, values: np.ndarray, rows: np.ndarray) -> None:
        """Rows `first` and following become `values[rows]`, filled up with 0 along the axis of tokens."""
        axis = 1 if values.ndim == 2 else 2
        last = first + len(rows)
        length = max(values.shape[axis], self._array.shape[axis] if first else 0)
        if self._array.ndim != values.ndim or last > len(self._array) or length != self._array.shape[axis]:
            self._grow(first, max(last, 2 * first), length, axis, values)
        for place, row in enumerate(rows, first):
            _fill(self._array[place], values[row], axis - 1)

    def move(self, source: int, target: int) -> None:
        if source != target:
            self._array[target] = self._array[source]

    def _grow(self, kept: int, room: int, length: int, axis: int, like: np.ndarray) -> None:
        shape = [room, *like.shape[1:]]
        shape[axis] = length
        old, self._array = self._array, np.zeros(shape, dtype=like.dtype)
        for place in range(kept):
            _fill(self._array[place], old[place], axis - 1)


def _fill(target: np.ndarray, source: np.ndarray, axis: int) -> None:
    """Copy to the beginning of an axis, zeros after it."""
    length = source.shape[axis]
    before = (slice(None),) * axis
    target[(*before, slice(length))] = source
    target[(*before, slice(length, None))] = 0


def _right_aligned(target: np.ndarray, source: np.ndarray | None) -> None:
    """Copy to the end of the last axis but one as much as there is and fits, zeros before it."""
    room = target.shape[-2]
    there = 0 if source is None else min(source.shape[-2], room)
    if source is not None and there:
        target[..., room - there :, :] = source[..., source.shape[-2] - there :, :]
    if there < room:
        target[..., : room - there, :] = 0
