"""Learns which characters stand opposite each other in parallel couplets (对仗).

    python -m models.training.parallelism --corpus runs/corpus --out models/prosody/data/parallelism.npz

Couplets 2 and 3 of the 律诗 of the training split are counted, place by place, and held against chance:

    M(a, b) = log (n(a, b) + s) / (e(a, b) + s)

n counts a opposite b, in either order. e is what n would be if lines were paired at random but for length,
place and tone, so that M says nothing of tones, which the constraint looks after. M is the pointwise mutual
information of Church and Hanks (1990), smoothed. It is symmetric; its K eigenvalues that are largest in
absolute value, with their eigenvectors, carry what is known of frequent characters over to rare ones of
their kind, as Levy and Goldberg (2014) factor the PMI of words and contexts.

The same corpus gives the same bytes on one machine with one number of threads.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import eigsh

from models.prosody.books import rhyme_book
from models.prosody.patterns import Tone
from models.training.corpus import Poem, load

# Chosen on the validation split (docs/parallelism.md).
SMOOTHING = 0.2
RANK = 192
LEAST = 5


def parallel_couplets(poems: Iterable[Poem]) -> list[tuple[str, str]]:
    """Lines 3–4 and 5–6 of every poem of eight lines whose tones in them are those of a 律诗.

    Some poems with the shape of a 律诗 are older verse, which need not be parallel.
    """
    eights = [poem.lines for poem in poems if len(poem.lines) == 8]
    couplets = [(lines[start], lines[start + 1]) for lines in eights for start in (2, 4)]
    return [couplet for couplet in couplets if is_regular(*couplet)]


def is_regular(upper: str, lower: str) -> bool:
    """Whether two lines have the tones of a couplet, each character in any of its readings.

    Even places alternate, along the lines and from one to the other; only the lower line ends level.
    """
    if not (_may_be(upper[-1], Tone.OBLIQUE) and _may_be(lower[-1], Tone.LEVEL)):
        return False
    pairs = [(upper[place], lower[place]) for place in range(1, len(upper), 2)]
    rising = [pair[place % 2] for place, pair in enumerate(pairs)]
    falling = [pair[1 - place % 2] for place, pair in enumerate(pairs)]
    return any(
        all(_may_be(character, one) for character in rising)
        and all(_may_be(character, other) for character in falling)
        for one, other in ((Tone.LEVEL, Tone.OBLIQUE), (Tone.OBLIQUE, Tone.LEVEL))
    )


@cache
def _may_be(character: str, tone: Tone) -> bool:
    readings = rhyme_book("pingshui").readings(character)
    return not readings or any(reading.tone is tone for reading in readings)


class Opposites:
    """What stands opposite what in `couplets`, of V characters that stand there at least LEAST times.

    Attributes:
        characters: the V characters, in the order of their code points.
        counts: n, float32 (V, V), symmetric.
        expected: e, float32 (V, V), symmetric, with the sum of n.
    """

    def __init__(self, couplets: list[tuple[str, str]]) -> None:
        uses = Counter(character for couplet in couplets for line in couplet for character in line)
        self.characters = sorted(character for character, count in uses.items() if count >= LEAST)
        self._ids = {character: row for row, character in enumerate(self.characters)}
        self._tones = _tones(self.characters)
        size = len(self.characters)
        self.counts = np.zeros((size, size), dtype=np.float32)
        self.expected = np.zeros((size, size), dtype=np.float32)
        for upper, lower in self._places(couplets):
            np.add.at(self.counts, (upper, lower), 1)
            self._expect(upper, lower)
        self.counts += self.counts.T
        self.expected += self.expected.T

    def _places(self, couplets: list[tuple[str, str]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each length and place, the pairs of ids that stand opposite each other there."""
        for length in sorted({len(upper) for upper, _ in couplets}):
            lines = [couplet for couplet in couplets if len(couplet[0]) == length]
            for place in range(length):
                pairs = ((self._ids.get(a[place], -1), self._ids.get(b[place], -1)) for a, b in lines)
                both = np.array([pair for pair in pairs if min(pair) >= 0], dtype=np.intp)
                yield tuple(both.reshape(-1, 2).T)

    def _expect(self, upper: np.ndarray, lower: np.ndarray) -> None:
        """Add what chance gives where the tones of both characters are as they are."""
        above, below = self._tones[upper], self._tones[lower]
        for first in np.unique(above):
            for second in np.unique(below):
                cell = (above == first) & (below == second)
                rows, row_counts = np.unique(upper[cell], return_counts=True)
                columns, column_counts = np.unique(lower[cell], return_counts=True)
                share = np.outer(row_counts, column_counts / max(cell.sum(), 1))
                self.expected[np.ix_(rows, columns)] += share.astype(np.float32)


def _tones(characters: Iterable[str]) -> np.ndarray:
    """The resolved tone of each character as a number, int8 (V,); 0 where 平水韵 lacks it."""
    tone_of = rhyme_book("pingshui").tone_of
    number = {None: 0, Tone.LEVEL: 1, Tone.OBLIQUE: 2}
    return np.array([number[tone_of(character)] for character in characters], dtype=np.int8)


def learn(opposites: Opposites, *, rank: int) -> dict[str, np.ndarray]:
    """The table that models.prosody.parallelism reads."""
    association = np.log((opposites.counts + SMOOTHING) / (opposites.expected + SMOOTHING))
    # A character opposite itself is a fault for its own reason, and has its own entry in the table.
    np.fill_diagonal(association, 0)
    values, vectors = eigsh(association, k=rank, which="LM", v0=np.ones(len(association)))
    factors = vectors * np.sqrt(np.abs(values))
    scales = np.abs(factors).max(axis=1, keepdims=True).clip(1e-9) / 127
    same = (np.trace(opposites.counts) + 1) / (np.trace(opposites.expected) + 1)
    return {
        "characters": np.array([ord(character) for character in opposites.characters], dtype=np.uint32),
        "factors": np.rint(factors / scales).astype(np.int8),
        "scales": scales[:, 0].astype(np.float32),
        "signs": np.sign(values).astype(np.int8),
        "repeated": np.float32(np.log(same)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.parallelism", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    couplets = parallel_couplets(load(options.corpus, "train"))
    table = learn(Opposites(couplets), rank=RANK)
    np.savez(options.out, **table)
    print(
        f"{len(couplets)} couplets, {len(table['characters'])} characters, {options.out.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
