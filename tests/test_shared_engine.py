"""The shipped poets, many requests at once: every poem as it is alone, character for character."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.batching import Batching
from models.bundle import open_bundle
from models.engine import open_engine
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.shared_engine import SharedEngine

BUNDLES = Path(__file__).resolve().parent.parent / "models" / "bundles"
WORDS = ("明月", "江水", "孤舟", "白云", "故乡", "秋风")


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def bundle(request):
    return open_bundle(BUNDLES / request.param, kind="poet")


@pytest.fixture(scope="module")
def poet(bundle):
    return Poet.open(bundle, threads=1)


def poem(poet: Poet, number: int) -> list:
    """Each number has its own form, keywords, rules, candidates, choice and way of drawing."""
    form = FORMS[("wujue", "qijue", "wulv")[number % 3]]
    return list(
        poet.compose(
            WORDS[: 1 + number % len(WORDS)],
            form=form,
            sampling=Sampling(temperature=0.7 + 0.1 * (number % 2)),
            seed=number,
            constraint=poet.constraint(form, Rules(regulated=number % 4 != 3)),
            candidates=1 + number % 2,
            line_choices=1 + 2 * (number % 2),
        )
    )


def test_poems_do_not_depend_on_each_other(poet):
    """Log probabilities too, to the last bit."""
    numbers = range(8)
    alone = [poem(poet, number) for number in numbers]
    with ThreadPoolExecutor(len(numbers)) as pool:
        together = list(pool.map(lambda number: poem(poet, number), numbers))
    assert together == alone
    assert max(poet.stats.steps.sizes) > max(1 + number % 2 for number in numbers) * 3
    assert poet.stats.steps.failed == 0


def test_a_listener_is_told_what_the_iterator_gives(poet):
    """Position by position, where lines are not chosen; else nothing."""
    wish = {"form": FORMS["wujue"], "sampling": Sampling(), "seed": 5, "candidates": 2}
    told: list = []
    tokens = list(poet.compose(WORDS[:2], **wish, listener=told.append))
    assert (
        [token for position in told for token in position] == tokens == list(poet.compose(WORDS[:2], **wish))
    )
    assert [len(position) for position in told] == [2] * 20
    chosen: list = []
    assert len(list(poet.compose(WORDS[:2], **wish, line_choices=2, listener=chosen.append))) == 40
    assert chosen == []


def test_prompts_read_together_are_read_as_alone(bundle):
    """Of any lengths: what is filled up differs, and nothing else."""
    engine = open_engine(bundle, threads=1)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(10, 6000, size=size).tolist() for size in (1, 2, 7, 8, 9, 24, 31, 50)]
    together = engine.read(prompts)
    for place, prompt in enumerate(prompts):
        own, alone = together.take([place]), engine.read([prompt])
        assert own.pending == alone.pending
        windows = [engine.window() for _ in range(2)]
        for window, sequences in zip(windows, (own, alone), strict=True):
            window.join(sequences)
        token = np.array([prompt[-1]])
        assert np.array_equal(windows[0].step(token), windows[1].step(token))


def test_requests_of_several_lengths_get_their_own_rows(bundle):
    shared = SharedEngine(open_engine(bundle, threads=1), Batching())
    requests = [[[20, 21, 22]], [[30] * 20, [31] * 5], [[40, 41]]]
    found = shared._read_all(requests)
    assert [len(sequences) for sequences in found] == [1, 2, 1]
    for request, sequences in zip(requests, found, strict=True):
        alone = shared.read(request)
        assert sequences.pending == alone.pending
        assert sequences.lengths.tolist() == alone.lengths.tolist()
    assert shared.stats.reads.runs == 3


def test_an_idle_poet_is_well(poet):
    assert not poet.heartbeat().pending
    assert poet.heartbeat().seconds == 0.0
