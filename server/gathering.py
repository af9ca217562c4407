"""Short work of many calls on the event loop: what comes in one turn is done together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gathering(Generic[Item, Answer]):
    """Belongs to one event loop at a time; nobody waits for others to come."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        cost: Callable[[Item], float],
        limit: float,
    ) -> None:
        """`run` answers all items, or says by an exception what is wrong with one. Items that cost more than
        `limit` together are left to later turns, so that none lasts long; one alone may cost anything."""
        self._run = run
        self._cost = cost
        self._limit = limit
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()

    async def __call__(self, item: Item) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer)
        return await answer

    def _answer(self) -> None:
        batch = self._take()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        try:
            found = self._run([item for item, _ in batch])
        except Exception as error:
            found = [error] * len(batch)
        for (_, answer), value in zip(batch, found, strict=True):
            # A caller that has left has cancelled it.
            if answer.done():
                continue
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch = [self._waiting.popleft()]
        cost = self._cost(batch[0][0])
        while self._waiting and (cost := cost + self._cost(self._waiting[0][0])) <= self._limit:
            batch.append(self._waiting.popleft())
        return batch
