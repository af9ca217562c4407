"""The keywords of a training poem, drawn anew at each visit."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from models.prosody.rhythm import word_places, words
from models.training.corpus import Poem
from models.training.keywords import MinedWord

# As many keywords as most pictures give.
_USUAL = 4
_SHARE_USUAL = 0.5
# In the order of their lines keywords are easy to find in the poem, and copying is learned sooner; a caller
# may give them in any order.
_SHARE_IN_ORDER = 0.8
# A caller's own keyword need not be on the list.
_SHARE_ANY_WORD = 0.1
_VISUAL_WEIGHT = 2.0
_SINGLE_WEIGHT = 0.3


class KeywordSampler:
    """Draws the keywords of a poem: at most one a line, rarer and visual words more often (TF-IDF)."""

    def __init__(self, mined: Sequence[MinedWord], poems: int) -> None:
        self._weights = {row.word: self._weight(row, poems) for row in mined}
        self._words = [row.word for row in mined if len(row.word) == 2]

    def draw(self, poem: Poem, rng: random.Random) -> list[str]:
        """Four keywords half of the time, else one to as many as there are lines; mostly in their order.

        A poem that came with keywords gets some of its own.
        """
        given = poem.keywords
        most = min(len(given or poem.lines), len(poem.lines))
        count = min(_USUAL, most) if rng.random() < _SHARE_USUAL else rng.randint(1, most)
        places = rng.sample(range(len(given or poem.lines)), k=count)
        if rng.random() < _SHARE_IN_ORDER:
            places.sort()
        drawn = (given[place] if given else self._draw_from(poem.lines[place], rng) for place in places)
        return list(dict.fromkeys(word for word in drawn if word))

    def transplant(self, poem: Poem, rng: random.Random) -> tuple[Poem, list[str]]:
        """The poem with a word of every line replaced by any other, and these words.

        Nothing but the keywords tells what such a poem says in these places: it teaches to copy them.
        """
        drawn = [rng.choice(self._words) for _ in poem.lines]
        lines = []
        for line, word in zip(poem.lines, drawn, strict=True):
            start, end = rng.choice(word_places(line))
            lines.append(line[:start] + word + line[end:])
        return replace(poem, lines=tuple(lines)), drawn

    def _draw_from(self, line: str, rng: random.Random) -> str | None:
        if rng.random() < _SHARE_ANY_WORD:
            return rng.choice(words(line))
        candidates = [word for word in (*words(line), *line) if word in self._weights]
        if not candidates:
            return None
        return rng.choices(candidates, weights=[self._weights[word] for word in candidates])[0]

    @staticmethod
    def _weight(row: MinedWord, poems: int) -> float:
        weight = max(0.5, math.log(poems / row.count))
        if row.category:
            weight *= _VISUAL_WEIGHT
        return weight * (_SINGLE_WEIGHT if len(row.word) == 1 else 1.0)
