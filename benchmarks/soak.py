"""Many mixed requests, bad ones and abandoned ones among them: the server's memory must not grow."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from benchmarks.process import Running, jpeg, server
from benchmarks.result import Benchmark, Result, within
from image2poem import AsyncClient, Image2PoemError

_REQUESTS = int(os.environ.get("IMAGE2POEM_SOAK", "100000"))
_AT_ONCE = 16
_SAMPLES = 100
# What the memory at the end is held against: the samples of this part of the run, when all is warm.
_WARM = (0.10, 0.15)
_NO_ANSWER = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "ABORTED", "UNIMPLEMENTED"}

_TEXTS = ("秋江夜泊", "山寺钟声", "春风杨柳", "大漠孤烟", "寒梅映雪")
_VERSE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"

Call = Callable[[], Awaitable[object]]


class Load:
    """Draws requests and sends them; counts how they ended."""

    def __init__(self, client: AsyncClient, dimension: int, *, seed: int = 0) -> None:
        self._client = client
        self._chance = random.Random(seed)
        self._dimension = dimension
        self._pictures = [jpeg(320 + 64 * size, 240 + 48 * size) for size in range(4)]
        self.endings: Counter[str] = Counter()
        self._kinds: dict[Callable[[], Awaitable[object]], float] = {
            self._lookup_vector: 45,
            self._lookup_text: 18,
            self._lookup_picture: 6,
            self._check: 12,
            self._bad: 10,
            self._leave_lookup: 7,
            self._leave_poem: 1,
            self._hasty_poem: 0.5,
            self._poem: 0.5,
        }

    async def send(self) -> None:
        """One request of a kind that is drawn."""
        [kind] = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        try:
            await kind()
            ending = "OK"
        except Image2PoemError as error:
            ending = error.reason or (error.code.name if error.code else type(error).__name__)
        self.endings[ending] += 1

    async def _lookup_vector(self) -> None:
        vector = [self._chance.gauss(0, 1) for _ in range(self._dimension)]
        await self._client.lookup_keywords(vector=vector, top_k=8)

    async def _lookup_text(self) -> None:
        await self._client.lookup_keywords(text=self._chance.choice(_TEXTS))

    async def _lookup_picture(self) -> None:
        await self._client.lookup_keywords(picture=self._chance.choice(self._pictures))

    async def _check(self) -> None:
        await self._client.check_poem(_VERSE)

    async def _bad(self) -> None:
        damaged = self._chance.choice(self._pictures)[: self._chance.randrange(2000)]
        wrong = {"picture": damaged or b"x"}, {"text": "hello"}, {"vector": [0.0] * 3}, {"text": "秋" * 201}
        await self._client.lookup_keywords(**self._chance.choice(wrong))

    async def _leave_lookup(self) -> None:
        """Leave while the answer is being made, or before the request has gone out."""
        lookup = asyncio.ensure_future(self._lookup_text())
        await asyncio.sleep(self._chance.uniform(0, 0.01))
        lookup.cancel()
        await asyncio.wait([lookup])

    async def _leave_poem(self) -> None:
        """Leave before the first event, or in the middle."""
        events = self._client.compose(text=self._chance.choice(_TEXTS), form="wujue", line_choices=1)
        stay = self._chance.randrange(20)
        try:
            async for _ in events:
                stay -= 1
                if stay < 0:
                    break
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def _hasty_poem(self) -> None:
        poem = self._client.compose(keywords=["明月", "故乡"], form="qijue", line_choices=1)
        try:
            async with asyncio.timeout(self._chance.uniform(0.001, 0.3)):
                async for _ in poem:
                    pass
        except TimeoutError:
            pass

    async def _poem(self) -> None:
        async for _ in self._client.compose(text=self._chance.choice(_TEXTS), form="wujue", line_choices=2):
            pass


async def _drive(running: Running, requests: int) -> tuple[list[float], Counter[str]]:
    """Resident MiB after each hundredth of the requests, and how these ended."""
    async with AsyncClient(running.address, timeout=120) as client:
        load = Load(client, (await client.info()).encoder.dimension)
        resident: list[float] = []
        begun, started = 0, time.monotonic()

        async def work() -> None:
            nonlocal begun
            while begun < requests:
                begun += 1
                await load.send()

        workers = [asyncio.ensure_future(work()) for _ in range(_AT_ONCE)]
        for sample in range(1, _SAMPLES + 1):
            while begun < requests * sample / _SAMPLES and not all(worker.done() for worker in workers):
                await asyncio.sleep(0.05)
            resident.append(running.resident_mib())
            if sample % 10 == 0:
                seconds = time.monotonic() - started
                print(f"  {begun} requests, {seconds:.0f} s, {resident[-1]:.1f} MiB", flush=True)
        await asyncio.gather(*workers)
        return resident, load.endings


def _soak() -> Result:
    """Growth of resident memory between the warm server and the end of the run."""
    # Sixteen at once: a thread for each is better than two that wait for each other.
    with server("--waiting", "64", "--threads", "1") as running:
        resident, endings = asyncio.run(_drive(running, _REQUESTS))
    print(f"  endings: {dict(endings.most_common())}")
    wrong = _NO_ANSWER & set(endings)
    if wrong:
        raise RuntimeError(f"the server failed: {wrong}")
    warm = statistics.median(resident[round(_WARM[0] * _SAMPLES) : round(_WARM[1] * _SAMPLES)])
    end = statistics.median(resident[-5:])
    print(f"  {_REQUESTS} requests: {warm:.1f} MiB warm, {end:.1f} MiB at the end", flush=True)
    # Memory that shrank has not grown by less than nothing.
    return within(max(0.01, (end / warm - 1) * 100), "% of growth", limit=5.0)


BENCHMARKS: dict[str, Benchmark] = {"soak": _soak}
