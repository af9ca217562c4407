"""What the compiled books cover, and how 平水韵 stands beside the second table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from models.training.rhyme_books import second, shares
from models.training.rhyme_books.assemble import Shares
from models.training.rhyme_books.merges import Place


def report(books: Mapping[str, Shares], uses: Counter[str], listed: shares.Table) -> dict:
    """Coverage of the corpus's running text, and shares of it where 平水韵 and the second table differ.

    `main_place` and `main_tone`: the second table lacks the place or tone that is likeliest by the first.
    `any_tone`: one of them has a tone that the other lacks.
    """
    book = books["pingshui"]
    total = uses.total()
    rows = second.differences(book, listed, uses)
    main_place = {c: _likeliest(book[c]) for _, c, *_ in rows}
    differ = {
        "main_place": [c for c, place in main_place.items() if place not in listed[c]],
        "main_tone": [c for c, p in main_place.items() if shares.is_level(p) not in _tones(listed[c])],
        "any_tone": [c for c in main_place if _tones(book[c]) != _tones(listed[c])],
    }
    return {
        "coverage": {
            name: sum(n for c, n in uses.items() if c in book) / total for name, book in books.items()
        },
        "characters": {name: len(book) for name, book in books.items()},
        "second_covers": sum(n for c, n in uses.items() if c in listed) / total,
        "differ": {what: sum(uses[c] for c in characters) / total for what, characters in differ.items()},
        "differences": [f"{c}\t{n}\t+{_names(ours)}\t-{_names(theirs)}" for n, c, ours, theirs in rows],
    }


def _likeliest(places: Mapping[Place, float]) -> Place:
    return max(places, key=lambda place: places[place])


def _tones(places: Iterable[Place]) -> set[bool]:
    return {shares.is_level(place) for place in places}


def _names(places: set[Place]) -> str:
    return "/".join(sorted(group for _, group in places))
