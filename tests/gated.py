"""A server whose only poet takes a step when the test lets it."""

from __future__ import annotations

from fakes import GatedPoet


def gated(serve, **options):
    """A server whose only poet waits for the test; the warm-up needs no gate."""
    poet = GatedPoet()
    poet.let(20)
    running = serve(poets={"t5": poet}, **options)
    while poet.waiting.acquire(blocking=False):
        pass
    poet.steps = 0
    return running, poet
