"""What verse shares with the training split: whole lines, runs of four characters, and the longest span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.training.corpus import Poem
from models.training.quality.characters import Characters, contains

_LINE_END, _POEM_END = "\n", "\r"
_RUN = 4
# Shorter shared spans are in every poem, and are not looked for.
_SHORTEST = _RUN - 1

Lines = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a poem that stands in a training poem as well.

    Attributes:
        characters: its length, ends of lines not counted.
        text: the stretch, lines divided by ，.
        source: the training poem; None where the poem shares no stretch of four characters with any.
    """

    characters: int
    text: str
    source: Poem | None


class Originality:
    """Training poems, to hold verse against."""

    def __init__(self, poems: Sequence[Poem]) -> None:
        self._poems = poems
        self._lines = {line for poem in poems for line in poem.lines}
        text = _text([poem.lines for poem in poems])
        self._characters = Characters(text + _LINE_END + _POEM_END)
        self._line_end, self._poem_end = self._characters.encode(_LINE_END + _POEM_END)
        self._ids = self._characters.encode(text)
        self._ends = np.flatnonzero(self._ids == self._poem_end)
        keys = self._characters.keys(self._ids, _RUN)
        self._places = np.argsort(keys, kind="stable")
        self._keys = keys[self._places]

    def copied_lines(self, poems: Sequence[Lines]) -> float:
        """Share of lines that stand in a training poem, character for character."""
        lines = [line for poem in poems for line in poem]
        return sum(line in self._lines for line in lines) / len(lines)

    def overlap(self, poems: Sequence[Lines]) -> float:
        """Share of the runs of four characters inside lines that stand inside a line of a training poem."""
        ids = self._characters.encode(_text(poems))
        runs = self._runs(ids, without=(self._line_end, self._poem_end))
        return float(contains(self._keys, self._characters.keys(ids, _RUN)[runs]).mean())

    def longest_spans(self, poems: Sequence[Lines]) -> list[Span]:
        """Of each poem the longest stretch, over ends of lines too, that it shares with a training poem.

        Spans of three characters and fewer are not looked for: where there is none longer, 3 is taken.
        """
        text = _text(poems)
        ids = self._characters.encode(text)
        here, there = self._matches(ids)
        lengths = self._lengths(ids, here, there)
        characters = lengths - _between(ids == self._line_end, here, here + lengths)
        poem = _between(ids == self._poem_end, np.zeros_like(here), here)
        spans = [Span(characters=_SHORTEST, text="", source=None)] * len(poems)
        for match in np.argsort(characters, kind="stable"):
            if characters[match] > _SHORTEST:
                shared = text[here[match] : here[match] + lengths[match]]
                spans[poem[match]] = Span(
                    characters=int(characters[match]),
                    text=shared.strip(_LINE_END).replace(_LINE_END, "，"),
                    source=self._poems[np.searchsorted(self._ends, there[match])],
                )
        return spans

    def _runs(self, ids: np.ndarray, *, without: Sequence[int]) -> np.ndarray:
        """The places where runs of four begin that hold none of these numbers."""
        barred = np.concatenate([[0], np.cumsum(np.isin(ids, without))])
        return np.flatnonzero(barred[_RUN:] == barred[:-_RUN])

    def _matches(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a shared stretch begins, here and in the training text: all pairs, both int64 (M,)."""
        runs = self._runs(ids, without=[self._poem_end])
        keys = self._characters.keys(ids, _RUN)[runs]
        first = np.searchsorted(self._keys, keys, side="left")
        counts = np.searchsorted(self._keys, keys, side="right") - first
        here = np.repeat(runs, counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        there = self._places[np.repeat(first, counts) + within]
        # One that goes on to the left has begun there already.
        before = ids[here - 1]
        begins = (here == 0) | (there == 0) | (before != self._ids[there - 1]) | (before == self._poem_end)
        return here[begins], there[begins]

    def _lengths(self, ids: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
        """How far each pair goes on alike inside its poems, ends of lines counted, int64 (M,)."""
        lengths = np.full(len(here), _RUN)
        growing = np.arange(len(here))
        # Every text ends with the end of a poem, which nothing goes on beyond.
        while len(growing):
            following = ids[here[growing] + lengths[growing]]
            alike = following == self._ids[there[growing] + lengths[growing]]
            growing = growing[alike & (following != self._poem_end)]
            lengths[growing] += 1
        return lengths


def _between(marks: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many of `marks`, bool (T,), are true from `starts` to before `ends`, both int64 (M,)."""
    total = np.concatenate([[0], np.cumsum(marks)])
    return total[ends] - total[starts]


def _text(poems: Sequence[Lines]) -> str:
    """Each line ends with a mark, and each poem with another."""
    return "".join("".join(line + _LINE_END for line in lines) + _POEM_END for lines in poems)
