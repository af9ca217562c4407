"""Lines being written: repetition, fixed characters, stopping, with a poet of sand."""

from __future__ import annotations

import numpy as np
import pytest

from models.drafting import Row, write_line
from models.guidance import Guide
from models.prosody import FORMS, LengthsOnly, fixed_places
from models.prosody.parallelism import Opposites
from models.sampling import Sampling, generator_of
from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer

TOKENIZER = CharacterTokenizer([*SPECIAL_TOKENS, *"萧江潮水连海平月"])
WUJUE = FORMS["wujue"]


def guide(sampling: Sampling) -> Guide:
    """Against repetition alone."""
    return Guide(
        form=WUJUE,
        frequency_penalty=sampling.frequency_penalty,
        parallel_lines=(),
        parallelism=None,
        opposites=Opposites(TOKENIZER.vocabulary),
    )


class Sand:
    """Likes every character a little less than the one before it in the vocabulary, whatever it has read."""

    def __init__(self, rows: int) -> None:
        self.logits = np.tile(-np.arange(len(TOKENIZER), dtype=np.float32), (rows, 1))
        self.read: list[list[int]] = []

    def step(self, ids: np.ndarray) -> None:
        self.read.append(ids[:, -1].tolist())

    def select(self, rows: np.ndarray) -> None:
        raise AssertionError("a line is written with the rows it began with")


def lines_of(sampling: Sampling, *, fixed=(), rows: int = 1, lines: int = 4) -> list[list[str]]:
    constraint = LengthsOnly(WUJUE, TOKENIZER.vocabulary, fixed_places(WUJUE, texts=fixed))
    poems = [
        Row(candidate=row, lines=[], ids=[], writing=constraint.begin(), generator=generator_of(1, row))
        for row in range(rows)
    ]
    decoding = Sand(rows)
    for _ in range(lines):
        for _ in write_line(
            poems,
            decoding,
            form=WUJUE,
            guide=guide(sampling),
            sampling=sampling,
            tokenizer=TOKENIZER,
            stopped=lambda: False,
        ):
            pass
    return [poem.lines for poem in poems]


def greedy(frequency_penalty: float) -> list[str]:
    return lines_of(Sampling(temperature=0.0, frequency_penalty=frequency_penalty))[0]


def test_without_a_penalty_the_likeliest_comes_again_and_again():
    assert greedy(0.0) == ["萧萧萧萧萧"] * 4


def test_a_penalty_makes_room_for_others_and_bans_nothing():
    assert greedy(0.7)[0] == "萧萧江萧萧"
    assert greedy(10.0)[0] == "萧萧江潮水"
    assert set("".join(greedy(10.0))) == set("萧江潮水连海平月")


def test_a_word_may_double_its_character_and_others_may_not():
    """萧萧 is a word, and free of the penalty; 江江 would be the likeliest to go on with otherwise."""
    assert greedy(1.5)[0] == "萧萧江潮江"


def test_fixed_characters_are_written_also_those_that_the_vocabulary_lacks():
    [poem] = lines_of(Sampling(temperature=0.0, frequency_penalty=0.0), fixed=[(1, 2, "龘月")])
    assert poem == ["萧萧萧萧萧", "萧萧龘月萧", "萧萧萧萧萧", "萧萧萧萧萧"]


def test_a_row_writes_the_same_alone_and_among_others():
    sampling = Sampling(temperature=2.0, top_p=1.0, frequency_penalty=2.0)
    together = lines_of(sampling, rows=3)
    assert together[0] == lines_of(sampling, rows=1)[0]
    assert together[1] not in (together[0], together[2])


def test_a_line_that_is_stopped_is_no_line():
    constraint = LengthsOnly(WUJUE, TOKENIZER.vocabulary, {})
    row = Row(candidate=0, lines=[], ids=[], writing=constraint.begin(), generator=generator_of(1, 0))
    asked = iter([False, False, True])
    written = list(
        write_line(
            [row],
            Sand(1),
            form=WUJUE,
            guide=guide(Sampling()),
            sampling=Sampling(),
            tokenizer=TOKENIZER,
            stopped=lambda: next(asked),
        )
    )
    assert (len(written), row.lines) == (2, [])
    with pytest.raises(StopIteration):
        next(asked)
