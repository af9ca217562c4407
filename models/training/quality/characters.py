"""Texts as arrays of small numbers, and runs of n of them as single 64-bit keys, for fast counting."""

from __future__ import annotations

import numpy as np


class Characters:
    """Numbers for the characters of a text, from 1; what it does not hold is `unknown`, and 0 is free.

    Attributes:
        unknown: the number of every other character.
        base: one more than the largest number: the base in which keys are written.
    """

    def __init__(self, text: str) -> None:
        found = np.unique(code_points(text))
        self._numbers = np.full(0x110000, len(found) + 1, dtype=np.int32)
        self._numbers[found] = np.arange(1, len(found) + 1)
        self.unknown = len(found) + 1
        self.base = self.unknown + 1

    def encode(self, text: str) -> np.ndarray:
        """int64 (T,), a number for each character."""
        return self._numbers[code_points(text)].astype(np.int64)

    def keys(self, ids: np.ndarray, length: int) -> np.ndarray:
        """int64 (T − length + 1,): for each place the run of `length` numbers that begins there.

        Raises OverflowError where 64 bits do not hold such runs.
        """
        if self.base**length >= 2**63:
            raise OverflowError(f"runs of {length} among {self.base} characters need more than 63 bits")
        count = max(0, len(ids) - length + 1)
        keys = np.zeros(count, dtype=np.int64)
        for place in range(length):
            keys *= self.base
            keys += ids[place : place + count]
        return keys


def code_points(text: str) -> np.ndarray:
    """uint32 (T,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def contains(haystack: np.ndarray, needles: np.ndarray) -> np.ndarray:
    """bool (N,): which `needles`, int64 (N,), are among `haystack`, int64, sorted."""
    if not len(haystack):
        return np.zeros(len(needles), dtype=bool)
    places = np.searchsorted(haystack, needles).clip(max=len(haystack) - 1)
    return haystack[places] == needles
