"""In which order a run reads its poems, and by which of its processes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from models.training.checkpoint import Progress
from models.training.corpus import Poem
from models.training.dataset import batches


class PoemOrder:
    """Endless passes over the poems; all follows from the seed and from how far a run is."""

    def __init__(self, poems: Sequence[Poem], *, batch: int, seed: int) -> None:
        self._poems = poems
        self._batch = batch
        self._seed = seed
        self._pass: tuple[int, list[list[Poem]]] | None = None

    def next_of(
        self, progress: Progress, *, rank: int = 0, count: int = 1
    ) -> tuple[Sequence[Poem], random.Random]:
        """Of the next `count` batches the one of process `rank`; `progress` moves past all of them.

        Returns its poems, and the random numbers to make a batch of them with.
        """
        return [self._next(progress) for _ in range(count)][rank]

    def _next(self, progress: Progress) -> tuple[Sequence[Poem], random.Random]:
        order = self._pass_of(progress.epoch)
        poems = order[progress.place]
        rng = random.Random(f"{self._seed}/{progress.epoch}/{progress.place}")
        progress.poems += len(poems)
        progress.place += 1
        if progress.place == len(order):
            progress.epoch, progress.place = progress.epoch + 1, 0
        return poems, rng

    def _pass_of(self, epoch: int) -> list[list[Poem]]:
        if self._pass is None or self._pass[0] != epoch:
            self._pass = (epoch, batches(self._poems, self._batch, random.Random(f"{self._seed}/{epoch}")))
        return self._pass[1]
