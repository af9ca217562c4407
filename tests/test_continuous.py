"""Continuous batching with an engine of sand: whoever joins, leaves or fails, a row goes its own way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from fakes import eventually
from models.continuous import Stepper
from models.sampling import Sampling, generator_of
from models.tasks import EngineStopped, Progress
from models.window import Window
from sand import SandEngine

VOCABULARY = 50
POISON = 49
BOLD = Sampling(temperature=1.0, top_p=1.0)


class Writer:
    """Writes so many tokens a row; every third time it reads a 7 after them."""

    def __init__(
        self, rows: int, steps: int, *, seed: int = 0, sampling: Sampling = BOLD, goes_on: bool = True
    ) -> None:
        self.sampling = sampling
        self.goes_on = goes_on
        self.generators = [generator_of(seed, row) for row in range(rows)]
        self.written: list[list[int]] = []
        self.log_probabilities: list[list[float]] = []
        self.stopped: Callable[[], bool] = lambda: False
        self._steps = steps

    def line(self, row: int) -> list[int]:
        return [ids[row] for ids in self.written]

    def weights(self, row: int) -> np.ndarray:
        weights = np.zeros(VOCABULARY, dtype=np.float32)
        weights[POISON] = -np.inf
        return weights

    def guide(self, row: int, weighted: np.ndarray) -> None:
        weighted[row] += 0.5

    def take(self, ids: np.ndarray, log_probabilities: np.ndarray) -> tuple[object, list[list[int]] | None]:
        self.written.append(ids.tolist())
        self.log_probabilities.append(log_probabilities.tolist())
        if len(self.written) == self._steps:
            return ids, None
        more = [7] if len(self.written) % 3 == 0 else []
        return ids, [[token, *more] for token in ids.tolist()]


class Gate:
    """Asked whether to stop, it holds the engine's thread until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self._let = threading.Semaphore(0)

    def let(self, steps: int = 1) -> None:
        self._let.release(steps)

    def __call__(self) -> bool:
        self.reached.release()
        assert self._let.acquire(timeout=30)
        return False


def begin(stepper: Stepper, engine: SandEngine, writer: Writer, prompt: list[int]) -> Progress:
    return stepper.submit(writer, engine.read([prompt] * len(writer.generators)))


def written_alone(rows: int, steps: int, seed: int, prompt: list[int], sampling: Sampling = BOLD) -> Writer:
    engine, writer = SandEngine(VOCABULARY), Writer(rows, steps, seed=seed, sampling=sampling)
    list(begin(Stepper(engine.window()), engine, writer, prompt))
    return writer


def test_a_task_tells_what_it_takes_and_gives_its_rows_back():
    engine, writer = SandEngine(VOCABULARY), Writer(2, 4)
    stepper = Stepper(engine.window())
    progress = begin(stepper, engine, writer, [1, 2, 3])
    assert [ids.tolist() for ids in progress] == writer.written
    assert len(progress.sequences) == 2
    # Three tokens of the prompt, three of the four that were written, and a 7.
    assert progress.sequences.lengths.tolist() == [7, 7]
    # Its own rows and places, and nobody else's.
    assert progress.sequences.caches.shape[1::2] == (2, 7)
    more = Writer(3, 2)
    list(stepper.submit(more, progress.sequences.take([1, 1, 0]).reading([[5]] * 3)))
    assert engine.read_rows[-1][:3] == [1, 2, 3]
    assert engine.read_rows[-1][-2] == 5
    assert len(more.written[0]) == 3


def test_rows_that_do_not_go_on_are_not_kept_and_their_places_are_taken():
    engine = SandEngine(VOCABULARY)
    stepper = Stepper(engine.window())
    writers = [Writer(2, steps, seed=steps, goes_on=False) for steps in (9, 3, 12, 5)]
    progresses = [begin(stepper, engine, writer, [steps, 1]) for steps, writer in enumerate(writers)]
    for progress in progresses:
        list(progress)
        assert progress.finished
        assert progress.sequences is None
    for steps, writer in enumerate(writers):
        alone = written_alone(2, len(writer.written), len(writer.written), [steps, 1])
        assert writer.written == alone.written


def test_a_listener_hears_each_step_and_the_iteration_gives_all_at_the_end():
    engine, writer, heard = SandEngine(VOCABULARY), Writer(2, 5), []
    progress = Stepper(engine.window()).submit(writer, engine.read([[1, 2, 3]] * 2), heard.append)
    given = [ids.tolist() for ids in progress]
    assert given == [ids.tolist() for ids in heard] == writer.written
    assert len(progress.sequences) == 2


def test_a_listener_that_fails_ends_its_own_task():
    engine, good, bad = SandEngine(VOCABULARY), Writer(1, 6, seed=1), Writer(1, 6, seed=2)
    stepper = Stepper(engine.window())

    def listener(item):
        if len(bad.written) == 3:
            raise KeyError("deaf")

    failing = stepper.submit(bad, engine.read([[4, 5]]), listener)
    other = begin(stepper, engine, good, [6])
    with pytest.raises(KeyError, match="deaf"):
        list(failing)
    assert len(list(other)) == 6


@pytest.mark.parametrize("max_rows", [3, 1000])
def test_what_a_row_writes_does_not_depend_on_its_neighbours(max_rows):
    rng = np.random.default_rng(0)
    shapes = [
        (int(rng.integers(1, 5)), int(rng.integers(1, 30)), rng.integers(1, 48, rng.integers(1, 40)).tolist())
        for _ in range(30)
    ]
    mild = Sampling(temperature=0.5, top_k=9)
    engine = SandEngine(VOCABULARY)
    stepper = Stepper(engine.window(), max_rows=max_rows)
    writers, progresses = [], []
    for seed, (rows, steps, prompt) in enumerate(shapes):
        writers.append(Writer(rows, steps, seed=seed, sampling=mild if seed % 3 else BOLD))
        progresses.append(begin(stepper, engine, writers[-1], prompt))
    for progress in progresses:
        list(progress)
    for seed, (writer, (rows, steps, prompt)) in enumerate(zip(writers, shapes, strict=True)):
        alone = written_alone(rows, steps, seed, prompt, writer.sampling)
        assert writer.written == alone.written
        assert writer.log_probabilities == alone.log_probabilities
    assert max(engine.sizes) <= max(max_rows, 4)
    assert stepper.stats.tokens == sum(rows * steps for rows, steps, _ in shapes)
    assert stepper.stats.tasks == 30


def test_tasks_join_between_two_steps():
    engine, gate = SandEngine(VOCABULARY), Gate()
    stepper = Stepper(engine.window())
    slow, quick = Writer(1, 20), Writer(2, 3, seed=1)
    slow.stopped = gate
    first = begin(stepper, engine, slow, [1])
    gate.let(5)
    for _ in range(6):
        assert gate.reached.acquire(timeout=30)
    second = begin(stepper, engine, quick, [2, 3])
    gate.let(100)
    assert (len(list(first)), len(list(second))) == (20, 3)
    assert 3 in engine.sizes
    assert engine.sizes[0] == engine.sizes[-1] == 1
    assert quick.written == written_alone(2, 3, 1, [2, 3]).written


def test_a_task_that_is_stopped_frees_its_rows_within_one_step():
    engine, gate, stop = SandEngine(VOCABULARY), Gate(), threading.Event()
    stepper = Stepper(engine.window())
    leaving, staying = Writer(3, 1000), Writer(1, 30, seed=4)
    staying.stopped = gate
    stays = begin(stepper, engine, staying, [1])
    assert gate.reached.acquire(timeout=30)
    leaving.stopped = stop.is_set
    leaves = begin(stepper, engine, leaving, [2])
    gate.let(4)
    assert eventually(lambda: len(leaving.written) >= 1)
    stop.set()
    before = len(leaving.written)
    gate.let(1000)
    list(leaves)
    assert leaves.sequences is None
    assert len(leaving.written) <= max(before, 4) + 1
    assert len(list(stays)) == 30
    assert staying.written == written_alone(1, 30, 4, [1]).written


def test_a_task_that_raises_ends_alone():
    engine = SandEngine(VOCABULARY)
    stepper = Stepper(engine.window())

    class Clumsy(Writer):
        def guide(self, row: int, weighted: np.ndarray) -> None:
            if len(self.written) == 2:
                raise ZeroDivisionError("clumsy")
            super().guide(row, weighted)

    class Hopeless(Writer):
        def weights(self, row: int) -> np.ndarray:
            return super().weights(row) - np.float32(np.inf if len(self.written) == 3 else 0.0)

    good, clumsy, hopeless = Writer(2, 9, seed=3), Clumsy(2, 9), Hopeless(1, 9)
    progresses = [begin(stepper, engine, writer, [5, 6]) for writer in (clumsy, good, hopeless)]
    with pytest.raises(ZeroDivisionError, match="clumsy"):
        list(progresses[0])
    with pytest.raises(FloatingPointError):
        list(progresses[2])
    assert len(list(progresses[1])) == 9
    assert good.written == written_alone(2, 9, 3, [5, 6]).written
    assert stepper.stats.failed == 2


def test_a_step_that_fails_fails_only_whom_it_fails_alone():
    engine = SandEngine(VOCABULARY, poison=POISON)
    stepper = Stepper(engine.window())

    class Poisonous(Writer):
        def take(self, ids, log_probabilities):
            item, read = super().take(ids, log_probabilities)
            return item, [[POISON]] * len(ids) if len(self.written) == 4 else read

    before, poisonous, after = Writer(2, 12, seed=1), Poisonous(2, 12, seed=2), Writer(1, 12, seed=3)
    progresses = [begin(stepper, engine, writer, [5, 6]) for writer in (before, poisonous, after)]
    with pytest.raises(ValueError, match="poison"):
        list(progresses[1])
    assert len(list(progresses[0])) == len(list(progresses[2])) == 12
    assert before.written == written_alone(2, 12, 1, [5, 6]).written
    assert after.written == written_alone(1, 12, 3, [5, 6]).written
    assert stepper.stats.alone >= 1


def test_when_the_thread_dies_all_hear_of_it_and_the_next_task_starts_another():
    engine = SandEngine(VOCABULARY)
    stepper = Stepper(engine.window())
    both_begun = threading.Event()

    class Deadly(Writer):
        def take(self, ids, log_probabilities):
            both_begun.wait(60)
            raise SystemExit

    deadly, other = begin(stepper, engine, Deadly(1, 3), [1]), begin(stepper, engine, Writer(1, 500), [1])
    both_begun.set()
    for progress in (deadly, other):
        with pytest.raises(EngineStopped):
            list(progress)
    assert not stepper.heartbeat().pending
    assert len(list(begin(stepper, engine, Writer(1, 3), [1]))) == 3


@pytest.mark.parametrize(("way", "ended_by"), [("join", MemoryError), ("leave", EngineStopped)])
def test_nobody_waits_for_rows_that_could_not_come_or_go(monkeypatch, way, ended_by):
    engine = SandEngine(VOCABULARY)
    stepper = Stepper(engine.window())

    def fails(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Window, way, fails)
        with pytest.raises(ended_by):
            list(begin(stepper, engine, Writer(1, 3), [1]))
    assert len(list(begin(stepper, engine, Writer(1, 3), [1]))) == 3


def test_a_step_that_hangs_is_seen():
    engine, gate = SandEngine(VOCABULARY), Gate()
    stepper = Stepper(engine.window())
    writer = Writer(1, 3)
    writer.stopped = gate
    assert stepper.heartbeat().seconds == 0.0
    progress = begin(stepper, engine, writer, [1])
    assert eventually(lambda: stepper.heartbeat().seconds > 0.02)
    gate.let(10)
    list(progress)
    assert eventually(lambda: not stepper.heartbeat().pending)
