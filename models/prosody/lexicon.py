"""A poet's vocabulary as a rhyme book and the lines' ends see it: arrays over V token ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from models.prosody.books import RhymeBook
from models.prosody.characters import is_han
from models.prosody.endings import Endings
from models.prosody.patterns import Tone

# A character that closes fewer lines of the training split than this is no rhyme word to build a poem on.
_USUAL_RHYME = 20


# So often must a level character be read for one group to be a rhyme word: 佳, of 九佳 by the book and of
# 六麻 by most poems, is none that all readers hear.
_SURE = 0.8


class Lexicon:
    """Tones and rhymes of a vocabulary.

    A character counts with its likeliest reading alone: a poem that keeps the rules this way keeps them for
    every reader, also for one who reads 看 as the book's commonest tone.

    Attributes:
        book: the rhyme book.
        tones: for each tone class, bool (V,): which tokens have it.
        group: int64 (V,): for a sure rhyme, place in `book.level_groups` of its group, else −1.
        usual: bool (V,): characters that often close a line.
        endings: the counts of lines' ends.
        words, usual_words: for each level group, how many tokens rhyme in it, and how many usual ones.
    """

    def __init__(self, vocabulary: Sequence[str], book: RhymeBook, endings: Endings) -> None:
        self.book = book
        self.endings = endings
        self._ids = {token: index for index, token in enumerate(vocabulary)}
        self.usual = endings.closing >= _USUAL_RHYME
        place = {name: index for index, name in enumerate(book.level_groups)}
        level = np.zeros(len(vocabulary), dtype=bool)
        oblique = np.zeros(len(vocabulary), dtype=bool)
        self.group = np.full(len(vocabulary), -1, dtype=np.int64)
        for index, token in enumerate(vocabulary):
            if len(token) != 1 or not is_han(token):
                continue
            match book.tone_of(token):
                case Tone.LEVEL:
                    level[index] = True
                    self.group[index] = place.get(_sure_group(book, token) or "", -1)
                case Tone.OBLIQUE:
                    oblique[index] = True
        self.tones = {Tone.LEVEL: level, Tone.OBLIQUE: oblique, Tone.EITHER: level | oblique}
        self.before_oblique = endings.count_before(oblique)
        self._rhymes = {name: self.group == index for name, index in place.items()}
        self.words = {name: int(rhymes.sum()) for name, rhymes in self._rhymes.items()}
        self.usual_words = {name: int((rhymes & self.usual).sum()) for name, rhymes in self._rhymes.items()}
        self._before = {name: endings.count_before(self.usual_rhymes_in(name)) for name in book.level_groups}

    def rhymes_in(self, group: str) -> np.ndarray:
        """bool (V,): the tokens that rhyme in `group`."""
        return self._rhymes[group]

    def usual_rhymes_in(self, group: str) -> np.ndarray:
        """bool (V,): those of them that often close a line."""
        usual: np.ndarray = self._rhymes[group] & self.usual
        return usual

    def before_usual_rhymes(self, group: str) -> np.ndarray:
        """For each token, how often a usual rhyme of `group` closed a line after it. float32 (V,)."""
        return self._before[group]

    def ids_of(self, characters: Iterable[str]) -> list[int]:
        """The token ids of those characters that the vocabulary has."""
        return [self._ids[character] for character in characters if character in self._ids]


def tones_of(book: RhymeBook, character: str) -> set[Tone]:
    """The tones that `character` can have, by any reading; both for one that the book lacks."""
    return {reading.tone for reading in book.readings(character)} or {Tone.LEVEL, Tone.OBLIQUE}


def _sure_group(book: RhymeBook, character: str) -> str | None:
    """The group that a level character rhymes in, unless its readings are divided."""
    level = [reading for reading in book.readings(character) if reading.tone is Tone.LEVEL]
    share = level[0].prior / sum(reading.prior for reading in level)
    return level[0].group if share >= _SURE else None
