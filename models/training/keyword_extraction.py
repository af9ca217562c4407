"""Keywords for a poem that came without any."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.prosody.rhythm import words
from models.training.corpus import Poem
from models.training.keywords import MinedWord

# As many poems as the keyword list was mined from, about.
_MINED_POEMS = 200_000
# Words that can be seen in a picture count double, as in training.
_VISUAL_WEIGHT = 2.0


class Extractor:
    """Finds of each line the listed word with the highest TF-IDF; words come before single characters."""

    def __init__(self, mined: Sequence[MinedWord]) -> None:
        self._weights = {row.word: _weight(row) for row in mined}

    def keywords_of(self, poem: Poem) -> tuple[str, ...]:
        """At most one keyword a line, in the order of the lines; none of a line without a listed word."""
        found: list[str] = []
        for line in poem.lines:
            listed = [word for word in (*words(line), *line) if word in self._weights and word not in found]
            if listed:
                found.append(max(listed, key=lambda word: self._rank(word, poem)))
        return tuple(found)

    def _rank(self, word: str, poem: Poem) -> tuple[int, float]:
        return len(word), poem.text.count(word) * self._weights[word]


def _weight(row: MinedWord) -> float:
    rarity = max(0.5, math.log(_MINED_POEMS / row.count))
    return rarity * (_VISUAL_WEIGHT if row.category else 1.0)
