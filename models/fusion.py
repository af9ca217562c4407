"""Shallow fusion: an n-gram model of verse beside the poet's own predictions.

A small poet knows rules and themes, and few of the hundred thousands of word pairs that verse is made of;
counts know those. Both are multiplied, each to a power (a log-linear mixture; Gulcehre et al. 2015, "On using
monolingual corpora in neural machine translation", call it shallow fusion):

    log p(w) = poet · logit(w) + ngram · log q(w | up to two characters before it in its line) + constant

log q comes as a sum, up to a constant of the context: what a character is worth by itself, and by how much
the character before it, and the two before it, lift it. Of an interpolated model p(w|h) = own(w, h) +
γ(h) p(w|h⁻) that lift is log(1 + own(w, h) / (γ(h) p(w|h⁻))), nought for all that was never seen after h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from models.bundle import Bundle

FILE = "ngram.npz"
Ids = TypeVar("Ids", int, np.ndarray)

STEP = 0.05
"""Nats between two codes of a lift."""


class Fusion:
    """An n-gram model and how much it counts. Immutable; safe to share between threads."""

    def __init__(
        self, arrays: Mapping[str, np.ndarray], *, poet: float, ngram: float, line_start: int
    ) -> None:
        """A poet of V tokens; `arrays` tell of N lifts after C contexts:

        - `unigrams`: float32 (V,), log q of each token by itself.
        - `contexts`: uint32 (C,), sorted keys, see `context_key`.
        - `starts`: uint32 (C + 1,), where each context's lifts begin.
        - `ids`: uint16 (N,), what is lifted; each token once a context.
        - `lifts`: integers (N,), in steps of STEP nats; below 0 where a token is held down
          (`models.training.calibrate_poet`).

        `poet` and `ngram` are the powers; `line_start` is the token that stands before a line's first one.
        Raises ValueError for arrays that do not fit together.
        """
        self.poet, self.ngram = poet, ngram
        self._line_start = line_start
        self._poet = np.float32(poet)
        self._unigrams = (ngram * arrays["unigrams"]).astype(np.float32)
        self._contexts, self._starts = arrays["contexts"], arrays["starts"].astype(np.int64)
        self._ids, self._lifts = arrays["ids"], arrays["lifts"]
        self._step = np.float32(ngram * STEP)
        ends = (len(self._ids), len(self._lifts))
        if len(self._starts) != len(self._contexts) + 1 or ends != (int(self._starts[-1]),) * 2:
            raise ValueError("the arrays of the n-gram model do not fit together")

    @classmethod
    def of(cls, bundle: Bundle, *, line_start: int) -> Fusion | None:
        """What a poet's bundle says of it; None where it says nothing. Raises KeyError, ValueError."""
        stated: Mapping[str, Any] | None = bundle.manifest.get("fusion")
        if stated is None:
            return None
        arrays = read_arrays(bundle.file(stated["file"]))
        return cls(arrays, poet=float(stated["poet"]), ngram=float(stated["ngram"]), line_start=line_start)

    def fuse(self, logits: np.ndarray, lines: Sequence[Sequence[int]]) -> None:
        """Turn a poet's logits of the next token, float32 (N, V), into the mixture's, in place.

        `lines` are the ids of each row's line so far. What a row gives depends on it alone.
        """
        logits *= self._poet
        logits += self._unigrams
        size = logits.shape[1]
        for own, line in zip(logits, lines, strict=True):
            before, last = (self._line_start, self._line_start, *line[-2:])[-2:]
            self._lift(own, context_key(size, last))
            if len(line):
                self._lift(own, context_key(size, last, before))

    def _lift(self, logits: np.ndarray, key: int) -> None:
        place = int(self._contexts.searchsorted(np.uint32(key)))
        if place < len(self._contexts) and self._contexts[place] == key:
            these = slice(int(self._starts[place]), int(self._starts[place + 1]))
            logits[self._ids[these]] += self._lifts[these] * self._step


def context_key(size: int, last: Ids, before: Ids | None = None) -> Ids:
    """The number of a context of one token or of two, in a vocabulary of `size` tokens, at most 65,535.

    Of many contexts, int64 (N,), where the tokens are arrays.
    """
    return last if before is None else (before + 1) * size + last


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `Fusion` is made of. Raises OSError, ValueError."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
