"""What a poet may write next: asked at each step, prosody answers with a mask over the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from models.prosody.characters import is_han


class Constraint(Protocol):
    """Rules of one poem."""

    def allowed(self, line: int, position: int, written: Sequence[str]) -> np.ndarray:
        """Mask over the vocabulary for the character at `position` of `line` (both from 0).

        `written` are the lines so far, the unfinished one last. Returns bool (V,) with at least one True.
        """


class CharactersOnly:
    """Every place of a line holds one Han character: no mark, no control token, no early end."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._mask = np.array([len(token) == 1 and is_han(token) for token in vocabulary])
        self._mask.setflags(write=False)

    def allowed(self, line: int, position: int, written: Sequence[str]) -> np.ndarray:
        return self._mask
