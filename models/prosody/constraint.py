"""What a poet may write next: asked at each step, prosody answers with a weight for every token.

A constraint is made once for a request and holds its rules; each poem that is being written has a `Writing`
of its own, so that candidates of one batch may stand in different states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import numpy as np

from models.prosody.characters import is_han
from models.prosody.forms import Form
from models.prosody.rules import Place


class Writing(Protocol):
    """One poem under its rules, as far as it is written."""

    @property
    def pingshui_group(self) -> str | None:
        """The group of 平水韵 that it rhymes in, once that is settled: poets are taught these by name."""

    def forced(self) -> str | None:
        """The character that must stand at the next place, if only one may."""

    def weights(self) -> np.ndarray:
        """Added to the logits for the next place: float32 (V,), −inf forbids, at least one is finite.

        Not to be changed by the caller.
        """

    def accept(self, character: str) -> None:
        """The next place holds `character`."""

    def copy(self) -> Self:
        """An independent writing in the same state."""


class Constraint(Protocol):
    """The rules of one request."""

    @property
    def parallel_lines(self) -> tuple[int, ...]:
        """The lines, from 0, that are to close a parallel couplet."""

    def begin(self) -> Writing:
        """A poem without a character yet."""


class LengthsOnly:
    """Every place of a line holds one Han character: no mark, no control token, no early end."""

    parallel_lines = ()

    def __init__(self, form: Form, vocabulary: Sequence[str], fixed: Mapping[Place, str]) -> None:
        self.form = form
        self.fixed = fixed
        self.mask = mask_weights(np.array([len(token) == 1 and is_han(token) for token in vocabulary]))

    def begin(self) -> FreeWriting:
        return FreeWriting(self)


class FreeWriting:
    """A poem under `LengthsOnly`."""

    pingshui_group = None

    def __init__(self, rules: LengthsOnly, written: int = 0) -> None:
        self._rules = rules
        self._written = written

    def forced(self) -> str | None:
        return self._rules.fixed.get(divmod(self._written, self._rules.form.characters))

    def weights(self) -> np.ndarray:
        return self._rules.mask

    def accept(self, character: str) -> None:
        self._written += 1

    def copy(self) -> FreeWriting:
        return FreeWriting(self._rules, self._written)


def mask_weights(allowed: np.ndarray) -> np.ndarray:
    """Log weights of a mask, bool (V,): 0 where it is true, −inf elsewhere. float32, read-only."""
    weights = np.where(allowed, np.float32(0.0), np.float32(-np.inf))
    weights.setflags(write=False)
    return weights
