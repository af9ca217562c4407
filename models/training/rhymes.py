"""Which rhyme group of 平水韵 a poem keeps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from models.prosody.books import RhymeBook, rhyme_book

BOOK = "pingshui"


def rhyme_of(lines: Sequence[str], book: RhymeBook | None = None) -> str | None:
    """The one level group that the last characters of all even lines share, or None."""
    book = book or rhyme_book(BOOK)
    shared = frozenset(book.level_groups)
    for line in lines[1::2]:
        shared &= _groups(book, line[-1])
    return next(iter(shared)) if len(shared) == 1 else None


@cache
def _groups(book: RhymeBook, character: str) -> frozenset[str]:
    return frozenset(reading.group for reading in book.readings(character))
