"""Word vectors from the poem corpus: what stands in one couplet belongs to one scene.

Characters and the two-character words at the rhythm's places are counted together inside each couplet;
positive pointwise mutual information, smoothed over contexts (Levy, Goldberg and Dagan 2015, TACL 3), is
factored by a truncated SVD.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from models.prosody.rhythm import words

# Measured on the development set (docs/lite.md).
_SMOOTHING = 0.75
_SINGULAR_POWER = 0.25
_CHARACTERS = 6_000
_WORDS = 24_000
_LEAST_CHARACTER = 10
_LEAST_WORD = 20
_LEAST_PAIR = 2
_LONGEST_LINE = 9
# Weight of a token in the mean of a text, a / (a + p) (Arora, Liang and Ma 2017, "SIF").
_SIF = 1e-3

_PUNCTUATION = re.compile("[，。？！；、：]")
_HAN = re.compile(r"[㐀-䶿一-鿿〇]+")


@dataclass(frozen=True, kw_only=True)
class TextVectors:
    """The vocabulary of the text tower.

    Attributes:
        tokens: characters first, then two-character words.
        vectors: float32 (V, D), unit rows.
        weights: float32 (V,), a token's share in the mean of a text.
        corpus_sha256: hash of the couplets that were counted.
    """

    tokens: list[str]
    vectors: np.ndarray
    weights: np.ndarray
    corpus_sha256: str


@dataclass(frozen=True, kw_only=True)
class Couplets:
    """Lines of each couplet, and how often every character and every word at the rhythm's places occurs."""

    lines: list[list[str]]
    characters: Counter[str]
    words: Counter[str]
    sha256: str


def read_couplets(texts: Iterable[str]) -> Couplets:
    """Keep the couplets of whole lines of Chinese characters and count what is in them."""
    digest = hashlib.sha256()
    couplets, characters, pairs = [], Counter[str](), Counter[str]()
    for lines in _clean(texts):
        digest.update(("，".join(lines) + "\n").encode())
        couplets.append(lines)
        for line in lines:
            characters.update(line)
            pairs.update(_words(line))
    return Couplets(lines=couplets, characters=characters, words=pairs, sha256=digest.hexdigest())


def learn(couplets: Couplets, *, dimension: int, wanted: Iterable[str] = (), seed: int = 0) -> TextVectors:
    """Text vectors of `dimension` numbers; `wanted` words get their own where the corpus has them."""
    tokens = _vocabulary(couplets, wanted)
    index = {token: place for place, token in enumerate(tokens)}
    information = _positive_information(_cooccurrence(couplets.lines, index))
    vectors = _factor(information, dimension, seed)
    counts = np.array([_count(couplets, token) for token in tokens], np.float64)
    weights = _SIF / (_SIF + counts / counts.sum())
    return TextVectors(
        tokens=tokens,
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        weights=weights.astype(np.float32),
        corpus_sha256=couplets.sha256,
    )


def _clean(texts: Iterable[str]) -> Iterator[list[str]]:
    for text in texts:
        lines = [line for line in _PUNCTUATION.split(text) if line]
        if lines and all(len(line) <= _LONGEST_LINE and _HAN.fullmatch(line) for line in lines):
            yield lines


def _words(line: str) -> list[str]:
    return words(line) if len(line) in (5, 7) else []


def _count(couplets: Couplets, token: str) -> int:
    return (couplets.characters if len(token) == 1 else couplets.words)[token]


def _vocabulary(couplets: Couplets, wanted: Iterable[str]) -> list[str]:
    characters = [c for c, n in couplets.characters.most_common(_CHARACTERS) if n >= _LEAST_CHARACTER]
    total = couplets.characters.total()

    def rank(word: str) -> tuple[float, str]:
        """Frequency × PMI of the two characters; ties by the word itself, so that the order is one."""
        count = couplets.words[word]
        expected = couplets.characters[word[0]] * couplets.characters[word[1]] / total
        return -count * math.log(count / expected), word

    frequent = (word for word, count in couplets.words.items() if count >= _LEAST_WORD)
    best = sorted(frequent, key=rank)[:_WORDS]
    extra = {word for word in wanted if len(word) == 2 and couplets.words[word] >= _LEAST_PAIR}
    return [*characters, *best, *sorted(extra - set(best))]


def _cooccurrence(couplets: list[list[str]], index: dict[str, int]) -> sp.csr_matrix:
    """int32 (V, V): in how many couplets two tokens stand together."""
    places, ends = array("i"), array("q", [0])
    for lines in couplets:
        tokens = {token for line in lines for token in (*line, *_words(line)) if token in index}
        places.extend(sorted(index[token] for token in tokens))
        ends.append(len(places))
    ones = np.ones(len(places), np.int32)
    presence = sp.csr_matrix((ones, np.array(places), np.array(ends)), shape=(len(couplets), len(index)))
    return (presence.T @ presence).tocsr()


def _positive_information(together: sp.csr_matrix) -> sp.csr_matrix:
    """float32 (V, V): positive PMI, contexts smoothed."""
    pairs = together.tocoo()
    kept = (pairs.row != pairs.col) & (pairs.data >= _LEAST_PAIR)
    row, column, count = pairs.row[kept], pairs.col[kept], pairs.data[kept].astype(np.float64)
    totals = np.bincount(row, count, minlength=pairs.shape[0])
    contexts = totals**_SMOOTHING
    contexts /= contexts.sum()
    information = np.log(count / (totals[row] * contexts[column]))
    positive = information > 0
    values = information[positive].astype(np.float32)
    return sp.csr_matrix((values, (row[positive], column[positive])), shape=pairs.shape)


def _factor(information: sp.csr_matrix, dimension: int, seed: int) -> np.ndarray:
    """float32 (V, dimension): left singular vectors times a power of the singular values, signs fixed."""
    start = np.random.default_rng(seed).standard_normal(information.shape[0])
    # The order of a sum, and so its rounding, depends on how many threads share it.
    with threadpool_limits(1):
        left, singular, _ = svds(information, k=dimension, v0=start)
    order = np.argsort(-singular)
    left, singular = left[:, order], singular[order]
    largest = np.abs(left).argmax(axis=0)
    left = left * np.sign(left[largest, np.arange(dimension)])
    return (left * singular**_SINGULAR_POWER).astype(np.float32)
