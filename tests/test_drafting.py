"""Lines being written: repetition, fixed characters, stopping, with a poet of sand."""

from __future__ import annotations

import numpy as np

from models.drafting import LinesTask, Row
from models.guidance import Guide
from models.prosody import FORMS, LengthsOnly, fixed_places
from models.prosody.parallelism import Opposites
from models.sampling import Sampling, generator_of, pick
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


# Every character is liked a little less than the one before it in the vocabulary, whatever was read.
LIKED = -np.arange(len(TOKENIZER), dtype=np.float32)


def write(rows: list[Row], sampling: Sampling) -> int:
    """Write a line of every row as the engine would; returns its length."""
    task = LinesTask(
        rows,
        form=WUJUE,
        guide=guide(sampling),
        sampling=sampling,
        tokenizer=TOKENIZER,
        stopped=lambda: False,
    )
    read: list[list[int]] | None = []
    steps = 0
    while read is not None:
        weighted = np.stack([LIKED + task.weights(place) for place in range(len(rows))])
        for place, row in enumerate(weighted):
            task.guide(place, row)
        tokens, read = task.take(pick(weighted, sampling, task.generators), np.zeros(len(rows)))
        assert read is None or read == [[token.id] for token in tokens]
        assert [(token.line, token.position) for token in tokens] == [(tokens[0].line, steps)] * len(rows)
        steps += 1
    return steps


def lines_of(sampling: Sampling, *, fixed=(), rows: int = 1, lines: int = 4) -> list[list[str]]:
    constraint = LengthsOnly(WUJUE, TOKENIZER.vocabulary, fixed_places(WUJUE, texts=fixed))
    poems = [
        Row(candidate=row, lines=[], ids=[], writing=constraint.begin(), generator=generator_of(1, row))
        for row in range(rows)
    ]
    for _ in range(lines):
        assert write(poems, sampling) == WUJUE.characters
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
