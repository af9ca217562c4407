"""Words → unit vectors, such that a word's vector depends on nothing but the word.

An encoder may round a word's vector differently beside other words: by the padding, by its place in the
batch, or, with dynamic quantisation, by their values. Then words from a cache and words that are encoded
today would not add up to what one build gives. So every batch is full and holds words of one length. Where
a few probe words show that this is not enough, each word stands in a batch twice, so that the first of them
is always on an even place; and where that is not enough either, each word goes alone. A cache whose probe
words come out otherwise today (another processor, another runtime) is begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np

from index_builder.cache import EmbeddingCache
from models.prosody import is_han

DEFAULT_BATCH = 32
PLAIN = "{}"
# For pictures' keywords; each costs one more run of the encoder.
ENSEMBLE = (PLAIN, "一幅有{}的画", "一张{}的照片", "画里有{}", "眼前的{}")

# Two characters each, as most keywords.
_VERSES = "明月秋江孤舟断崖飞瀑斜阳芳草落花青山白云寒雨春风归雁渔火柴门古寺小桥流水人家枯藤老树昏鸦夕照烟波"
_PROBES = [_VERSES[start : start + 2] for start in range(0, len(_VERSES), 2)]
# Backwards, even places for odd ones, and beside words that a small vocabulary takes apart.
_PROBES_OTHERWISE = ["龘靐", "曌爨", *_PROBES[::-1]]
_REPEATS = (1, 2)


class InvalidEmbedding(Exception):
    """The encoder gave something else than finite float32 rows of length one."""


class BuildStopped(Exception):
    """The build was told to stop. What was embedded until then is in the cache."""


class TextEncoder(Protocol):
    """What a build needs of `models.clip.Encoder`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray: ...


Encode = Callable[[Iterable[list[str]]], Iterator[np.ndarray]]
"""Batches of texts → their (N, D) float32 rows, in the same order."""


class Embedder:
    """Embeds words through a cache. Use it in one thread.

    Attributes:
        batch: texts per call of the encoder: what was asked for, or 1.
        repeats: how often each word stands in a batch.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        *,
        cache: EmbeddingCache | None = None,
        batch: int = DEFAULT_BATCH,
        encode: Encode | None = None,
    ) -> None:
        """`encode` does the work where it is given, e.g. in other processes. Raises InvalidEmbedding."""
        self._encoder = encoder
        self._cache = cache
        self._encode: Encode = encode or (lambda batches: map(encoder.encode_texts, batches))
        self.batch, self.repeats = batch, 1
        self._settle()

    def embed(
        self,
        words: Sequence[str],
        out: np.ndarray,
        *,
        template: str = PLAIN,
        report: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Fill `out`, (N, D) float32, with the unit rows of N different words.

        `report` is called with the words done, first those of the cache; an exception ends the work and what
        is done stays in the cache. Raises InvalidEmbedding, OSError.
        """
        missing = list(range(len(words)))
        if self._cache is not None:
            rows, known = self._cache.get(template, words)
            out[known] = rows[known]
            missing = np.flatnonzero(~known).tolist()
        done = len(words) - len(missing)
        report(done)
        groups = list(_groups(missing, words, max(1, self.batch // self.repeats)))
        texts = ([template.replace(PLAIN, words[place]) for place in group] for group in groups)
        try:
            for group, rows in zip(groups, self._encode(map(self._filled, texts)), strict=True):
                names = [words[place] for place in group]
                out[group] = self._checked(rows, names)
                if self._cache is not None:
                    self._cache.put(template, names, out[group])
                done += len(group)
                report(done)
        finally:
            if self._cache is not None:
                self._cache.flush()

    def _settle(self) -> None:
        """Find batches in which a word's vector does not depend on its neighbours; renew a foreign cache."""
        kept = self._cache.fact("arrangement") if self._cache is not None else None
        if kept is not None and self._matches(kept):
            return
        arrangements = [(self.batch, repeats) for repeats in _REPEATS if repeats <= self.batch]
        for self.batch, self.repeats in [*arrangements, (1, 1)]:
            probed = self._probed(_PROBES)
            if self.batch == 1 or np.array_equal(probed[::-1], self._probed(_PROBES_OTHERWISE)[2:]):
                break
        if self._cache is not None:
            self._cache.begin(arrangement=f"{self.batch} {self.repeats}".encode(), probes=probed.tobytes())

    def _matches(self, kept: bytes) -> bool:
        """Whether a cache was filled with an arrangement for this batch, and with vectors as of today."""
        assert self._cache is not None
        asked = self.batch
        batch, self.repeats = map(int, kept.decode().split())
        self.batch = batch
        if batch in (asked, 1) and self._probed(_PROBES).tobytes() == self._cache.fact("probes"):
            return True
        self.batch = asked
        return False

    def _probed(self, words: Sequence[str]) -> np.ndarray:
        """The rows of some words, encoded in this process."""
        size = max(1, self.batch // self.repeats)
        parts = [words[start : start + size] for start in range(0, len(words), size)]
        return np.concatenate(
            [self._checked(self._encoder.encode_texts(self._filled(part)), part) for part in parts]
        )

    def _filled(self, texts: Sequence[str]) -> list[str]:
        """A full batch: each text `repeats` times, and all of them over and over."""
        repeated = [text for text in texts for _ in range(self.repeats)]
        return (repeated * -(-self.batch // len(repeated)))[: self.batch]

    def _checked(self, rows: np.ndarray, words: Sequence[str]) -> np.ndarray:
        """The rows of the words, without what filled the batch. Raises InvalidEmbedding."""
        expected = (self.batch, self._encoder.dimension)
        if rows.shape != expected or rows.dtype != np.float32:
            raise InvalidEmbedding(
                f"{self.batch} words gave {rows.dtype} {rows.shape}, not float32 {expected}"
            )
        rows = rows[: len(words) * self.repeats : self.repeats]
        lengths = np.linalg.norm(rows, axis=1)
        wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))  # written so that NaN is wrong too
        if wrong.size:
            raise InvalidEmbedding(f"the vector of {words[wrong[0]]!r} has length {lengths[wrong[0]]}, not 1")
        return rows


def _groups(places: Sequence[int], words: Sequence[str], size: int) -> Iterator[list[int]]:
    """Places of words of one length, at most `size` at a time; those not all Chinese are on their own."""

    def key(place: int) -> tuple[int, int]:
        # Of other characters several may make one token: such words are not of one length to the encoder.
        word = words[place]
        return (len(word), 0 if all(map(is_han, word)) else 1 + place)

    for _, alike in groupby(sorted(places, key=key), key=key):
        group = list(alike)
        yield from (group[start : start + size] for start in range(0, len(group), size))
