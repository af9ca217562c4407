"""An engine that the poems of many requests share: prompts are read in batches, steps are taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.batching import Batcher, Batching, BatchStats, Heartbeat
from models.continuous import Stepper, StepStats
from models.engine import Engine
from models.sequences import Sequences, padded_length
from models.tasks import Listener, Mixture, Progress, Task

Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class EngineStats:
    """Counters of an engine.

    Attributes:
        reads: of the batches of prompts; an item is all that one request reads at once.
        steps: of the decoder.
    """

    reads: BatchStats
    steps: StepStats


class SharedEngine:
    """Safe for use by several threads at once.

    Attributes:
        stats: counters, only ever growing.
    """

    def __init__(self, engine: Engine, batching: Batching, mixture: Mixture | None = None) -> None:
        self._engine = engine
        self._stepper = Stepper(engine.window(), max_rows=batching.max_rows, mixture=mixture)
        self._reader = Batcher(self._read_all, max_batch=batching.max_batch, max_wait_us=batching.max_wait_us)
        self.stats = EngineStats(self._reader.stats, self._stepper.stats)

    def read(self, prompts: Prompts) -> Sequences:
        """Read N prompts, together with those of other requests."""
        return self._reader(prompts)

    def submit(self, task: Task, sequences: Sequences, listener: Listener | None = None) -> Progress:
        """Begin to write; iterate over what is returned."""
        return self._stepper.submit(task, sequences, listener)

    def heartbeat(self) -> Heartbeat:
        """For a watchdog: of the steps, or of a reading that goes on."""
        return max(self._stepper.heartbeat(), self._reader.heartbeat(), key=lambda beat: beat.seconds)

    def _read_all(self, requests: Sequence[Prompts]) -> list[Sequences]:
        """One run for the requests of each padded length: padding costs as much as reading."""
        places: dict[int, list[int]] = {}
        for place, prompts in enumerate(requests):
            places.setdefault(padded_length(max(map(len, prompts))), []).append(place)
        found: dict[int, Sequences] = {}
        for alike in places.values():
            read = self._engine.read([prompt for place in alike for prompt in requests[place]])
            ends = np.cumsum([len(requests[place]) for place in alike])
            for place, rows in zip(alike, np.split(np.arange(len(read)), ends[:-1]), strict=True):
                found[place] = read.take(rows)
        return [found[place] for place in range(len(requests))]
