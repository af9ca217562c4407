"""Who may work now, who waits, and who is refused: places, turns and estimates, without threads and clocks.

A request gets a place or is refused at once. Places are so many for work that runs and so many for work that
waits. Clients take turns: the next one to begin is the oldest of the client whose turn it is, so that a
client with a hundred requests delays another's one by at most one turn. In a full house the newest waiting
request of the client that waits with most gives way to a client that waits with fewer ("longest queue drop",
McKenney, Stochastic Fairness Queueing, 1990). A request that cannot begin before its deadline, as work has
taken lately, is refused instead of waiting in vain.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST_PUSHBACK_MS = 30_000
_LEARNING_RATE = 0.1


class Overloaded(Exception):
    """Every place is taken.

    Attributes:
        retry_after_ms: a good moment to try again, in milliseconds from now.
    """

    def __init__(self, text: str, retry_after_ms: int) -> None:
        super().__init__(f"{text}; try again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class DeadlineTooShort(Overloaded):
    """There is a place to wait in, but the deadline would pass before the work could begin."""


class TooManyStreams(Overloaded):
    """The client has as many requests here as one client may have."""


class Draining(Exception):
    """The server is stopping and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class Unhealthy(Exception):
    """A worker of the server has crashed or hangs; no work is taken until it goes on."""


@dataclass(frozen=True)
class Caller:
    """Whose request it is, for fairness, and how long it is worth working on.

    Attributes:
        name: of the client; requests of one name take turns with those of others.
        deadline: on the clock of `time.monotonic`.
    """

    name: str = ""
    deadline: float = math.inf


@dataclass(frozen=True, eq=False)
class Ticket:
    """A request's place; no two are equal."""

    caller: Caller


class Turns:
    """A queue for each client, and the clients in the order of their turns."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Ticket]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, ticket: Ticket) -> None:
        self._queues.setdefault(ticket.caller.name, deque()).append(ticket)
        self._length += 1

    def next(self) -> Ticket:
        """Take the oldest ticket of the client whose turn it is. Raises StopIteration where nobody waits."""
        name = next(iter(self._queues))
        queue = self._queues.pop(name)
        ticket = queue.popleft()
        if queue:
            self._queues[name] = queue
        self._length -= 1
        return ticket

    def remove(self, ticket: Ticket) -> None:
        """Raises KeyError or ValueError where it does not wait."""
        name = ticket.caller.name
        queue = self._queues[name]
        queue.remove(ticket)
        if not queue:
            del self._queues[name]
        self._length -= 1

    def ahead_of(self, name: str) -> int:
        """How many of those that wait would begin before a new ticket of that client."""
        mine = len(self._queues.get(name, ()))
        return mine + sum(min(len(queue), mine + 1) for key, queue in self._queues.items() if key != name)

    def newest_of_longest(self, name: str) -> Ticket | None:
        """The newest ticket of the client with most, if that client has two more than the one named."""
        longest = max(self._queues.values(), key=len, default=None)
        if longest is None or len(longest) < len(self._queues.get(name, ())) + 2:
            return None
        return longest[-1]


class Admission:
    """The places of one kind of work. To be used by one thread.

    Attributes:
        name: of the work, for messages.
        places: how many requests may be here at once, running and waiting.
        service_seconds: how long work takes, as a moving mean; 0.0 before the first has ended.
    """

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        waiting: int,
        client_streams: int = 0,
        retry_after_ms: int = 100,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`client_streams`: how many one client may have, 0 for any number; `retry_after_ms`: the least."""
        self.name = name
        self.places = workers + waiting
        self.service_seconds = 0.0
        self._workers = workers
        self._client_streams = client_streams
        self._retry_after_ms = retry_after_ms
        self._clock = clock
        self._chance = chance
        self._turns = Turns()
        self._begun: dict[Ticket, float] = {}
        self._by_client: Counter[str] = Counter()
        self._closed: Callable[[], Exception] | None = None

    @property
    def running(self) -> int:
        return len(self._begun)

    @property
    def waiting(self) -> int:
        return len(self._turns)

    @property
    def in_use(self) -> int:
        return self.running + self.waiting

    def enter(self, ticket: Ticket) -> Ticket | None:
        """Take a place and wait. Returns the ticket that had to leave the queue for it, if one had.

        Raises Overloaded, one of its kinds, or what `close` named.
        """
        if self._closed is not None:
            raise self._closed()
        name = ticket.caller.name
        self._check_streams(name)
        self._check_deadline(ticket.caller)
        displaced = None
        if self.in_use >= self.places:
            displaced = self._turns.newest_of_longest(name)
            if displaced is None:
                raise self.refusal()
            self.leave(displaced)
        self._by_client[name] += 1
        self._turns.add(ticket)
        return displaced

    def check(self, name: Callable[[], str]) -> None:
        """Raise what `enter` raises, for work that is done at once, waits for nobody and so takes no place.

        `name` gives the client's, which is asked for only where it matters.
        """
        if self._closed is not None:
            raise self._closed()
        if self._client_streams and self._by_client:
            self._check_streams(name())
        if self.in_use >= self.places:
            raise self.refusal()

    def begin(self) -> Ticket | None:
        """The next ticket to work for; None where nobody waits, or no worker is free."""
        if self.running >= self._workers or not self.waiting:
            return None
        ticket = self._turns.next()
        self._begun[ticket] = self._clock()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place back, of one that waits or one whose work has ended."""
        begun = self._begun.pop(ticket, None)
        if begun is None:
            self._turns.remove(ticket)
        else:
            self._learn(self._clock() - begun)
        name = ticket.caller.name
        self._by_client[name] -= 1
        if not self._by_client[name]:
            del self._by_client[name]

    def close(self, reason: Callable[[], Exception]) -> None:
        """Admit nobody any more, but raise what `reason` makes; who waits or runs stays."""
        self._closed = reason

    def open(self) -> None:
        """Admit again."""
        self._closed = None

    def wait_for(self, name: str) -> float:
        """Seconds until a new request of that client would begin, where each takes what they take lately."""
        if self.running < self._workers:
            return 0.0
        free = self._free_at()
        for _ in range(self._turns.ahead_of(name)):
            heapq.heappushpop(free, free[0] + self.service_seconds)
        return free[0]

    def refusal(self) -> Overloaded:
        """What those hear for whom there is no place."""
        seconds = self.waiting * self.service_seconds / self._workers
        return Overloaded(f"all {self.places} places for {self.name} are taken", self._pushback_ms(seconds))

    def _check_streams(self, name: str) -> None:
        if self._client_streams and self._by_client[name] >= self._client_streams:
            text = f"this client has {self._client_streams} {self.name} here, as many as one may have"
            raise TooManyStreams(text, self._pushback_ms(min(self._free_at(), default=0.0)))

    def _check_deadline(self, caller: Caller) -> None:
        seconds, left = self.wait_for(caller.name), caller.deadline - self._clock()
        if seconds >= left:
            text = f"{self.name} begin in about {seconds:.1f} s here, and the deadline is in {left:.1f} s"
            raise DeadlineTooShort(text, self._pushback_ms(seconds))

    def _free_at(self) -> list[float]:
        """In how many seconds each worker is free, as a heap."""
        now = self._clock()
        free = [max(0.0, self.service_seconds - (now - begun)) for begun in self._begun.values()]
        heapq.heapify(free)
        return free

    def _pushback_ms(self, seconds: float) -> int:
        """From half of it to all of it: those who are refused together shall not come back together."""
        spread = seconds * 1000 * (0.5 + self._chance() / 2)
        return max(self._retry_after_ms, min(_LONGEST_PUSHBACK_MS, round(spread)))

    def _learn(self, seconds: float) -> None:
        known = self.service_seconds
        self.service_seconds = known + _LEARNING_RATE * (seconds - known) if known else seconds
