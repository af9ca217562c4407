"""What a caller on an idle server waits for."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.process import jpeg, server
from benchmarks.result import Benchmark, Result, describe, within
from image2poem import Client, Finished, Token

_REPEAT = 30


def _poem(client: Client, poet: str, picture: bytes, seed: int) -> tuple[float, float]:
    """Milliseconds to the first character and to the end, as the client sees them."""
    started = time.perf_counter()
    first = 0.0
    for event in client.compose(picture=picture, poet=poet, form="qijue", seed=seed):
        now = (time.perf_counter() - started) * 1000
        if isinstance(event, Token) and not first:
            first = now
        if isinstance(event, Finished):
            return first, now
    raise RuntimeError("the stream ended without Finished")


def _measure(poet: str) -> tuple[float, float]:
    picture = jpeg(1280, 800)
    with server() as running, Client(running.address) as client:
        poems = [_poem(client, poet, picture, seed) for seed in range(_REPEAT + 3)][3:]
    first = describe(f"{poet}, first token", [poem[0] for poem in poems])
    whole = describe(f"{poet}, whole 七绝", [poem[1] for poem in poems])
    return first, whole


def _first_token(poet: str) -> Result:
    """A 1280×800 JPEG to the first character."""
    return within(_measure(poet)[0], "ms", limit=150.0)


def _whole_poem(poet: str) -> Result:
    """A 1280×800 JPEG to the end of a 七绝."""
    return within(_measure(poet)[1], "ms", limit=500.0)


BENCHMARKS: dict[str, Benchmark] = {
    f"{name}-{poet}": partial(measure, poet)
    for name, measure in (("first-token", _first_token), ("whole-poem", _whole_poem))
    for poet in ("t5", "gpt2")
}
