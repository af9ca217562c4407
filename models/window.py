"""Sequences of many requests in one batch of decoder steps; they join and leave between steps.

The caches of all rows stand in one buffer, a row's token i at place i. The decoder writes a new token's keys
and values into it, and reads of each row as many places as it has tokens: nothing is moved in a step, and
what a row gives does not depend on the others' lengths.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
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

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.clear()

    def __len__(self) -> int:
        return len(self._holders) - len(self._gaps)

    def clear(self) -> None:
        """Everybody leaves, and the memory is given back."""
        count, heads, width = self._decoder.caches
        self._holders: list[tuple[Member, int] | None] = []
        self._gaps: set[int] = set()
        self._lengths = np.empty(0, dtype=np.int64)
        self._caches = np.empty((count, 0, heads, 0, width), dtype=np.float32)
        self._fixed: dict[str, _Rows] = {}
        self._fed = _Fed()

    def join(self, sequences: Sequences) -> Member:
        """Take sequences into the batch: where some have left, then at its end."""
        alone = not len(self)
        member = Member(sequences, self._vacant(len(sequences)))
        self._make_room(len(self._holders), int(sequences.lengths.max()))
        self._lengths[member.rows] = sequences.lengths
        places = zip(member.rows.tolist(), sequences.rows, sequences.lengths.tolist(), strict=True)
        for place, (row, source, length) in enumerate(places):
            self._holders[row] = (member, place)
            self._caches[:, row, :, :length] = sequences.caches[:, source, :, :length]
        for name, value in sequences.fixed.items():
            self._fixed.setdefault(name, _Rows()).put(member.rows, value, sequences.rows, alone=alone)
        return member

    def leave(self, member: Member, *, keep: bool = True) -> Sequences | None:
        """Take a member's sequences out.

        Returns them as they were after the last step, without pending tokens; None unless `keep`.
        """
        for row in member.rows.tolist():
            self._holders[row] = None
            self._gaps.add(row)
        return self._taken(member) if keep else None

    def whole(self, member: Member) -> Sequences:
        """A copy of a member's sequences as they are now, with all that they need to go on by themselves."""
        fixed = {name: value[member.sequences.rows] for name, value in member.sequences.fixed.items()}
        return replace(self._taken(member), fixed=fixed)

    def step_alone(self, sequences: Sequences, ids: np.ndarray) -> tuple[np.ndarray, Sequences]:
        """A step of these sequences without the batch: logits, and the sequences after it."""
        alone = Window(self._decoder)
        member = alone.join(sequences)
        return alone.step(ids).copy(), alone.whole(member)

    def settle(self) -> None:
        """Move the last rows of the batch to where some have left, so that rows are without a gap."""
        while self._gaps:
            last = len(self._holders) - 1
            if last in self._gaps:
                self._gaps.remove(last)
            else:
                self._move(last, self._gaps.pop())
            self._holders.pop()
        self._lengths = self._lengths[: len(self)]

    def step(self, ids: np.ndarray) -> np.ndarray:
        """Read one token a row, int64 (N,), of a batch that is settled.

        Returns logits, float32 (N, V), until the next step. Nothing changes if it raises.
        """
        self._make_room(len(self), int(self._lengths.max()) + 1)
        inputs = self._fed.inputs(len(self), self._caches, self._fixed)
        values = {"input_ids": ids, "position_ids": self._lengths, "seqlens_k": self._lengths}
        for name, value in values.items():
            inputs[name].reshape(-1)[:] = value
        logits = self._decoder(inputs, self._fed.caches)
        self._lengths += 1
        return logits

    def _vacant(self, count: int) -> np.ndarray:
        """So many rows, int64 (N,), that nobody holds."""
        gaps = sorted(self._gaps)[:count]
        self._gaps.difference_update(gaps)
        first, more = len(self._holders), count - len(gaps)
        self._holders += [None] * more
        self._lengths = np.concatenate([self._lengths, np.zeros(more, dtype=np.int64)])
        return np.array([*gaps, *range(first, first + more)])

    def _make_room(self, rows: int, places: int) -> None:
        """For so many rows of so many tokens each."""
        count, room, heads, there, width = self._caches.shape
        if rows > room or places > there:
            kept = min(room, len(self._holders))
            room = room if rows <= room else max(rows, 2 * room)
            shape = (count, room, heads, max(there, padded_length(places)), width)
            before, self._caches = self._caches, np.empty(shape, dtype=np.float32)
            self._caches[:, :kept, :, :there] = before[:, :kept]

    def _taken(self, member: Member) -> Sequences:
        """Its own rows and places alone: else whoever goes on with it would hold the caches of the batch."""
        lengths = self._lengths[member.rows]
        caches = self._caches[:, member.rows, :, : int(lengths.max())]
        return Sequences(np.arange(len(lengths)), lengths, caches, {}, ((),) * len(lengths))

    def _move(self, last: int, row: int) -> None:
        """The last row takes this row's place."""
        length = self._lengths[last]
        self._caches[:, row, :, :length] = self._caches[:, last, :, :length]
        for rows in self._fixed.values():
            rows.move(last, row)
        holder = self._holders[row] = self._holders[last]
        assert holder is not None
        member, place = holder
        member.rows[place] = row
        self._lengths[row] = length


class _Fed:
    """What a step is given. Made anew where rows or memory are others than in the step before: what stays
    the same need not be bound again."""

    def __init__(self) -> None:
        self.caches = np.empty(0, dtype=np.float32)
        self._inputs: dict[str, np.ndarray] = {}
        self._made_of: list[np.ndarray] = []

    def inputs(self, rows: int, caches: np.ndarray, fixed: Mapping[str, _Rows]) -> dict[str, np.ndarray]:
        """The inputs of a step of so many rows; what fills up has read nothing. Renews `caches`."""
        views = {name: kept.view(rows) for name, kept in fixed.items()}
        made_of = [caches, *(kept.array for kept in fixed.values())]
        same = len(made_of) == len(self._made_of) and all(map(operator.is_, made_of, self._made_of))
        if not same or len(self._inputs["seqlens_k"]) != rows:
            self._made_of = made_of
            self.caches = caches[:, :rows]
            self._inputs = {
                "input_ids": np.zeros((rows, 1), dtype=np.int64),
                "position_ids": np.zeros((rows, 1), dtype=np.int64),
                "seqlens_k": np.zeros(rows, dtype=np.int32),
                "total_sequence_length": np.array([caches.shape[3]], dtype=np.int32),
                **views,
            }
        return self._inputs


class _Rows:
    """An array with room for more rows, so that few changes of the batch copy all of it."""

    def __init__(self) -> None:
        self.array = np.empty(0)

    def view(self, count: int) -> np.ndarray:
        """The first rows; one that was never put is zero, or what another one was."""
        if count > len(self.array):
            self.array = np.concatenate([self.array, np.zeros_like(self.array[:1])])
        return self.array[:count]

    def put(self, places: np.ndarray, values: np.ndarray, rows: np.ndarray, *, alone: bool) -> None:
        """These places become `values[rows]`, filled up with 0 along the axis of tokens.

        `alone`: whether nothing else is kept; then that axis may become shorter again.
        """
        axis = 1 if values.ndim == 2 else 2
        kept = self.array if self.array.ndim == values.ndim and not alone else self.array[:0]
        length = max(values.shape[axis], kept.shape[axis] if len(kept) else 0)
        last = int(places.max()) + 1
        if self.array.ndim != values.ndim or last > len(self.array) or length != self.array.shape[axis]:
            room = len(kept) if last <= len(kept) else max(last, 2 * len(kept))
            self._grow(kept, room, length, axis, values)
        for place, row in zip(places, rows, strict=True):
            _fill(self.array[place], values[row], axis - 1)

    def move(self, source: int, target: int) -> None:
        self.array[target] = self.array[source]

    def _grow(self, kept: np.ndarray, room: int, length: int, axis: int, like: np.ndarray) -> None:
        shape = [room, *like.shape[1:]]
        shape[axis] = length
        self.array = np.zeros(shape, dtype=like.dtype)
        for place, row in enumerate(kept):
            _fill(self.array[place], row, axis - 1)


def _fill(target: np.ndarray, source: np.ndarray, axis: int) -> None:
    """Copy to the beginning of an axis, zeros after it."""
    length = source.shape[axis]
    before = (slice(None),) * axis
    target[(*before, slice(length))] = source
    target[(*before, slice(length, None))] = 0
