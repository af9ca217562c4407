"""Work that is gathered: calls on the loop from other threads, lookups that are answered together; and
characters that pass their poem's thread by."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from fakes import FakePoet, snapshot
from models.drafting import PoemToken
from models.sampling import InvalidOption
from server import pipeline
from server.events import Found, Line
from server.gathering import Gathering
from server.lookups import Asked, lookup_together
from server.outbox import Outbox
from server.request import Composition, Embedding, Lookup, Words


def test_what_is_posted_comes_in_order_and_wakes_the_loop_once():
    async def main():
        loop, outbox, seen, woken = asyncio.get_running_loop(), Outbox(), [], []
        wake = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda callback: woken.append(wake(callback))

        def post():
            for number in range(100):
                outbox.post(seen.append, number)

        thread = threading.Thread(target=post)
        thread.start()
        # The loop is held, so that all gather.
        thread.join()
        while len(seen) < 100:
            await asyncio.sleep(0)
        assert seen == list(range(100))
        assert len(woken) == 1
        outbox.post(seen.append, 100)
        await asyncio.sleep(0.01)
        assert seen[-1] == 100
        assert len(woken) == 2
        return outbox

    closed = asyncio.run(main())
    closed.post(print, "nobody is left to hear of it")


def test_nothing_that_many_threads_post_is_lost():
    async def main():
        outbox, seen = Outbox(), []

        def post():
            for _ in range(1000):
                outbox.post(seen.append, 1)

        async with asyncio.timeout(30):
            await asyncio.gather(*(asyncio.to_thread(post) for _ in range(4)))
            while len(seen) < 4000:
                await asyncio.sleep(0.001)

    asyncio.run(main())


def gathering(run):
    return Gathering(run, cost=lambda item: item, limit=10)


def test_what_comes_in_one_turn_is_done_together_up_to_the_limit():
    batches = []

    def run(items):
        batches.append(list(items))
        return [item * 2 for item in items]

    async def main():
        together = gathering(run)
        assert await asyncio.gather(*map(together, [4, 4, 4, 99, 1])) == [8, 8, 8, 198, 2]
        assert batches == [[4, 4], [4], [99], [1]]
        assert await together(3) == 6

    asyncio.run(main())


def test_one_that_fails_or_leaves_spoils_nothing_for_the_others():
    def run(items):
        return [KeyError("wrong") if item == 2 else item for item in items]

    async def main():
        together = gathering(run)
        calls = [asyncio.ensure_future(together(item)) for item in (1, 2, 3)]
        await asyncio.sleep(0)
        calls[2].cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert found[0] == 1
        assert isinstance(found[1], KeyError)
        assert isinstance(found[2], asyncio.CancelledError)

    asyncio.run(main())


def test_a_run_that_raises_is_raised_to_all_and_the_next_goes_on():
    def run(items):
        if items == [1, 2]:
            raise ZeroDivisionError
        return items

    async def main():
        together = gathering(run)
        found = await asyncio.gather(together(1), together(2), return_exceptions=True)
        assert [type(error) for error in found] == [ZeroDivisionError] * 2
        assert await together(1) == 1

    asyncio.run(main())


def asked(values, top_k: int = 3) -> Asked:
    wish = Lookup(source=Embedding(values=values), top_k=top_k)
    return Asked(snapshot=SNAPSHOT, wish=wish, clock=pipeline.Clock())


SNAPSHOT = snapshot()
DIMENSION = SNAPSHOT.encoder.dimension


def test_lookups_find_together_what_they_find_alone():
    vectors = np.random.default_rng(0).standard_normal((5, DIMENSION))
    alone = [lookup_together([asked(vector, top_k=2 + place % 2)]) for place, vector in enumerate(vectors)]
    together = lookup_together([asked(vector, top_k=2 + place % 2) for place, vector in enumerate(vectors)])
    for [one], other in zip(alone, together, strict=True):
        assert isinstance(one, Found)
        assert isinstance(other, Found)
        assert (one.keywords, one.index_version) == (other.keywords, other.index_version)
        assert other.timings.total_ms > 0.0


@pytest.mark.parametrize("wrong", [[1.0], [0.0] * DIMENSION, [float("nan")] * DIMENSION])
def test_a_wrong_vector_fails_alone(wrong):
    good = np.ones(DIMENSION)
    [alone] = lookup_together([asked(wrong)])
    first, bad, last = lookup_together([asked(good), asked(wrong), asked(good)])
    assert isinstance(bad, InvalidOption)
    assert str(bad) == str(alone)
    assert isinstance(first, Found)
    assert isinstance(last, Found)


class TellingPoet(FakePoet):
    """Tells its listener the characters of a line one by one before it gives them, as a real one does."""

    def compose(self, *arguments, listener=None, **options):
        line: list[PoemToken] = []
        for token in super().compose(*arguments, **options):
            line.append(token)
            if listener is not None:
                listener([token])
            if token.position == options["form"].characters - 1:
                yield from line
                line = []


def events_of(poet, tell=None):
    wish = Composition(source=Words(words=("明月",)), seed=3)
    return list(pipeline.compose(snapshot({"t5": poet}), wish, tell=tell))


def test_characters_that_were_told_are_not_given_again():
    told: list = []
    given = events_of(TellingPoet("t5"), told.append)
    plain = events_of(FakePoet("t5"))
    assert not any(isinstance(event, PoemToken) for event in given)
    assert told == [event for event in plain if isinstance(event, PoemToken)]
    assert [event for event in given if isinstance(event, Line)] == [
        event for event in plain if isinstance(event, Line)
    ]
    assert given[-1].best.lines == plain[-1].best.lines
    assert given[-1].timings.first_token_ms > 0.0


def test_a_poet_that_tells_nothing_gives_all():
    told: list = []
    given = events_of(FakePoet("t5"), told.append)
    assert told == []
    assert sum(isinstance(event, PoemToken) for event in given) == 28
