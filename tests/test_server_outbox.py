"""Calls on the loop that other threads post, and characters that pass their poem's thread by."""

from __future__ import annotations

import asyncio
import threading

from fakes import FakePoet, snapshot
from models.drafting import PoemToken
from server import pipeline
from server.events import Line
from server.outbox import Outbox
from server.request import Composition, Words


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


def test_characters_and_lines_that_were_told_are_not_given_again():
    told: list = []
    given = events_of(TellingPoet("t5"), told.append)
    plain = events_of(FakePoet("t5"))
    assert not any(isinstance(event, PoemToken | Line) for event in given)
    # Each line right behind its last character.
    assert told == [event for event in plain if isinstance(event, PoemToken | Line)]
    assert given[-1].best.lines == plain[-1].best.lines
    assert given[-1].timings.first_token_ms > 0.0


def test_a_poet_that_tells_nothing_gives_all():
    told: list = []
    given = events_of(FakePoet("t5"), told.append)
    assert told == []
    assert sum(isinstance(event, PoemToken) for event in given) == 28
