"""What a request works with, and how a newer one takes its place.

A snapshot is immutable: a request takes one and keeps it to its end, also while a newer one is swapped in.
The old one is freed when the last request that holds it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from index_builder.index import KeywordIndex
from models.clip import Encoder
from models.poet import Poet
from models.sources import Sources
from server.watchdog import Beating, Part, Worker


class NotReady(Exception):
    """There is nothing to serve with yet: the models are still loading."""


class UnknownModel(LookupError):
    """No poet has the name that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Index, encoder and poets that belong together; the first poet is the default one.

    Without `sources` no copied line is looked for.
    """

    index: KeywordIndex
    encoder: Encoder
    poets: Mapping[str, Poet]
    sources: Sources | None = None

    @property
    def default_poet(self) -> str:
        return next(iter(self.poets))

    def poet_named(self, name: str) -> tuple[str, Poet]:
        """Name and poet; the default one for an empty name. Raises UnknownModel."""
        name = name or self.default_poet
        if name not in self.poets:
            raise UnknownModel(f"poet: there is no {name!r} here; choose one of {', '.join(self.poets)}")
        return name, self.poets[name]

    def workers(self) -> tuple[Worker, ...]:
        """The parts that work on threads of their own, for the watchdog."""
        parts = {"encoder": self.encoder, **{f"poet {name}": poet for name, poet in self.poets.items()}}
        return tuple(Part(name, part) for name, part in parts.items() if isinstance(part, Beating))


class Catalog:
    """Holds the current snapshot. Swapping is one assignment, so that readers need no lock."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None

    def current(self) -> Snapshot:
        """The snapshot for a new request. Raises NotReady before the first swap."""
        if self._snapshot is None:
            raise NotReady("the server is still loading its models")
        return self._snapshot

    def swap(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
