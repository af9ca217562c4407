"""Lookups by vector that are answered together: one pass over the index for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index_builder.index import KeywordIndex
from models.sampling import InvalidOption
from server.catalog import Snapshot
from server.events import Found
from server.gathering import Gathering
from server.pipeline import Clock, embed
from server.request import Embedding, Lookup

# Exact search compares about ten of them in a nanosecond.
_QUICK_VALUES = 8_000_000
_VALUES_A_TURN = 4 * _QUICK_VALUES


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A lookup, with what it is answered from."""

    snapshot: Snapshot
    wish: Lookup
    clock: Clock

    @property
    def values(self) -> int:
        """How many values are compared for it."""
        return self.snapshot.index.count * self.snapshot.index.dimension

    @property
    def quick(self) -> bool:
        """Whether it is a search of well below a millisecond and nothing else."""
        index = self.snapshot.index
        embedding = isinstance(self.wish.source, Embedding)
        return embedding and index.local and index.kind == "flat" and self.values <= _QUICK_VALUES


def gathering() -> Gathering[Asked, Found]:
    """Answers quick lookups together."""
    return Gathering(lookup_together, cost=lambda asked: asked.values, limit=_VALUES_A_TURN)


def lookup_together(asked: Sequence[Asked]) -> list[Found | Exception]:
    """What each gets by `pipeline.lookup`, or what that raises."""
    answers: list[Found | Exception | None] = [None] * len(asked)
    alike: dict[tuple[KeywordIndex, int], list[tuple[int, np.ndarray]]] = {}
    for place, one in enumerate(asked):
        one.clock.lap("queue_ms")
        try:
            vector = embed(one.snapshot, one.wish.source)
        except InvalidOption as error:
            answers[place] = error
        else:
            alike.setdefault((one.snapshot.index, one.wish.top_k), []).append((place, vector))
            one.clock.lap("encode_ms")
    for (index, k), members in alike.items():
        found = index.nearest_each(np.stack([vector for _, vector in members]), k)
        for (place, _), keywords in zip(members, found, strict=True):
            clock = asked[place].clock
            clock.lap("search_ms")
            answers[place] = Found(
                keywords=tuple(keywords), index_version=index.version, timings=clock.timings()
            )
    return [answer for answer in answers if answer is not None]
