"""Sequences of many requests in one batch of decoder steps; they join and leave between steps.

The caches of all rows stand in one buffer, a row's token i at place i. The decoder writes a new token's keys
and values into it, and reads of each row as many places as it has tokens: nothing is moved in a step, and
what a row gives does not depend on the others' lengths.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.decoder import Decoder
from models.sequences import Sequences, padded_length


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

    def __init__(self, decoder: Decoder, *, even: bool = False) -> None:
        """`even`: whether a step must have an even number of rows. ONNX Runtime takes the rows of products in
        8 bits by twos, and adds up an odd one that is left in another order."""
        self._decoder = decoder
        self._even = even
        self.clear()

    def __len__(self) -> int:
        return len(self._holders)

    def clear(self) -> None:
        """Everybody leaves, and the memory is given back."""
        count, heads, width = self._decoder.caches
        self._holders: list[tuple[Member, int]] = []
        self._lengths = np.empty(0, dtype=np.int64)
        self._caches = np.empty((count, 0, heads, 0, width), dtype=np.float32)
        self._fixed: dict[str, _Rows] = {}
        self._fed: tuple[dict[str, np.ndarray], np.ndarray] | None = None

    def join(self, sequences: Sequences) -> Member:
        """Take sequences into the batch, at its end."""
        first = len(self)
        member = Member(sequences, np.arange(first, first + len(sequences)))
        self._fed = None
        self._make_room(first + len(sequences), int(sequences.lengths.max()))
        self._holders += [(member, place) for place in range(len(sequences))]
        self._lengths = np.concatenate([self._lengths, sequences.lengths])
        for row, source, length in zip(member.rows, sequences.rows, sequences.lengths, strict=True):
            self._caches[:, row, :, :length] = sequences.caches[:, source, :, :length]
        for name, value in sequences.fixed.items():
            self._fixed.setdefault(name, _Rows()).put(first, value, sequences.rows)
        return member

    def leave(self, member: Member) -> Sequences:
        """Take a member's sequences out; the last rows of the batch move to their places.

        Returns the sequences as they were after the last step, without pending tokens.
        """
        kept = self._taken(member)
        self._fed = None
        for row in sorted(member.rows.tolist(), reverse=True):
            self._move(len(self) - 1, row)
        return kept

    def whole(self, member: Member) -> Sequences:
        """A copy of a member's sequences as they are now, with all that they need to go on by themselves."""
        fixed = {name: value[member.sequences.rows] for name, value in member.sequences.fixed.items()}
        return replace(self._taken(member), fixed=fixed)

    def step_alone(self, sequences: Sequences, ids: np.ndarray) -> tuple[np.ndarray, Sequences]:
        """A step of these sequences without the batch: logits, and the sequences after it."""
        alone = Window(self._decoder, even=self._even)
        member = alone.join(sequences)
        return alone.step(ids).copy(), alone.whole(member)

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read one token a row, int64 (N,).

        Returns logits, float32 (N, V), until the next step. Nothing changes if it raises.
        """
        rows = len(self) + (len(self) % 2 if self._even else 0)
        self._make_room(rows, int(self._lengths.max()) + 1)
        inputs, caches = self._fed = self._fed or self._views(rows)
        inputs["input_ids"][: len(self), 0] = ids
        inputs["position_ids"][: len(self), 0] = self._lengths
        inputs["seqlens_k"][: len(self)] = self._lengths
        logits = self._decoder(inputs, caches)[: len(self)]
        self._lengths += 1
        return logits

    def _views(self, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The inputs of a step of so many rows, and their caches; what fills up has read nothing."""
        inputs: dict[str, np.ndarray] = {
            "input_ids": np.zeros((rows, 1), dtype=np.int64),
            "position_ids": np.zeros((rows, 1), dtype=np.int64),
            "seqlens_k": np.zeros(rows, dtype=np.int32),
            "total_sequence_length": np.array([self._caches.shape[3]], dtype=np.int32),
            **{name: kept.view(rows) for name, kept in self._fixed.items()},
        }
        return inputs, self._caches[:, :rows]

    def _make_room(self, rows: int, places: int) -> None:
        """For so many rows of so many tokens each."""
        count, room, heads, there, width = self._caches.shape
        if rows > room or places > there:
            room = room if rows <= room else max(rows, 2 * room)
            shape = (count, room, heads, max(there, padded_length(places)), width)
            before, self._caches = self._caches, np.empty(shape, dtype=np.float32)
            self._caches[:, : len(self), :, :there] = before[:, : len(self)]
            self._fed = None

    def _taken(self, member: Member) -> Sequences:
        """Its own rows and places alone: else whoever goes on with it would hold the caches of the batch."""
        lengths = self._lengths[member.rows]
        caches = self._caches[:, member.rows, :, : int(lengths.max())]
        return Sequences(np.arange(len(lengths)), lengths, caches, {}, ((),) * len(lengths))

    def _move(self, last: int, row: int) -> None:
        """The last row takes this row's place."""
        if row != last:
            length = self._lengths[last]
            self._caches[:, row, :, :length] = self._caches[:, last, :, :length]
            for rows in self._fixed.values():
                rows.move(last, row)
            member, place = self._holders[row] = self._holders[last]
            member.rows[place] = row
            self._lengths[row] = self._lengths[last]
        self._holders.pop()
        self._lengths = self._lengths[:last]


class _Rows:
    """An array with room for more rows, so that few changes of the batch copy all of it."""

    def __init__(self) -> None:
        self._array = np.empty(0)

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
