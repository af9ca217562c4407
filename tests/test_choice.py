"""Choosing among drafts."""

from __future__ import annotations

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from models.choice import LineJudge, Trials, Weights, brings_keyword, faults, standard_scores


def chosen(*lines: str, before=(), likely=None, keywords=(), parallel=False, **judge) -> str:
    """The line that a judge takes; all are equally likely unless it is said how likely they are."""
    log_probabilities = np.zeros(len(lines)) if likely is None else np.array(likely, dtype=np.float32)
    trials = Trials(before=before, lines=lines, log_probabilities=log_probabilities, parallel=parallel)
    [place] = LineJudge(**judge).choose([trials], keywords=keywords)
    return lines[place]


def test_standard_scores():
    np.testing.assert_allclose(standard_scores(np.array([1.0, 3.0])), [-1.0, 1.0])
    assert standard_scores(np.array([2.0, 2.0, 2.0])).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("upper", "parallel", "other"),
    [
        ("星垂平野阔", "月涌大江流", "飘飘何所似"),
        ("无边落木萧萧下", "不尽长江滚滚来", "百年多病独登台"),
        ("感时花溅泪", "恨别鸟惊心", "城春草木深"),
    ],
)
def test_the_parallel_line_closes_the_couplet(upper, parallel, other):
    assert chosen(other, parallel, before=[upper], parallel=True) == parallel
    assert chosen(parallel, other, before=[upper], parallel=True) == parallel
    assert chosen(other, parallel, before=[upper], parallel=False) == other


def test_the_likelier_of_two_lines_is_taken():
    assert chosen("飘飘何所似", "月涌大江流", likely=[-30, -29]) == "月涌大江流"


def test_a_line_with_a_new_keyword_may_be_somewhat_less_likely():
    wish = {"keywords": ["大江"], "likely": [-20, -27.9]}
    assert chosen("飘飘何所似", "月涌大江流", **wish) == "月涌大江流"
    assert chosen("飘飘何所似", "月涌大江流", **wish | {"likely": [-20, -28.1]}) == "飘飘何所似"
    assert chosen("飘飘何所似", "月涌大江流", before=["大江东去也"], **wish) == "飘飘何所似"


def test_two_keywords_in_a_line_are_no_better_than_one():
    trials = Trials(
        before=["春江潮水平"], lines=["月涌大江流", "月照大江花", "春江花月夜"], log_probabilities=np.zeros(3)
    )
    assert brings_keyword(trials, ["大江", "月", "春江"]).tolist() == [True, True, True]
    assert brings_keyword(trials, ["大江", "春江"]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("line", "before", "count"),
    [
        ("月涌大江流", ["星垂平野阔"], 0),
        ("萧萧班马鸣", [], 0),
        ("夜夜减清辉", [], 0),
        ("宫宫草木深", [], 1),
        ("永夜夜炎天", [], 1),
        ("明月照高楼", ["床前明月光"], 1),
        ("明月照高楼", ["床前明月光", "举头望明月"], 1),
        ("山外山外山", [], 2),
        ("床前明月光", ["床前明月光"], 4),
    ],
)
def test_faults_that_readers_see_at_once(line, before, count):
    assert faults(line, before) == count


def test_a_faulty_line_must_be_far_likelier():
    assert chosen("宫宫草木深", "城春草木深", likely=[-20, -29]) == "城春草木深"
    assert chosen("宫宫草木深", "城春草木深", likely=[-20, -31]) == "宫宫草木深"


def test_the_line_that_brings_the_poem_nearest_to_the_query():
    encoder = FakeEncoder()
    before, lines = ["星垂平野阔"], ["月涌大江流", "飘飘何所似", "城春草木深"]
    for line in lines:
        [query] = encoder.encode_texts([f"星垂平野阔，{line}"])
        assert chosen(*lines, before=before, query=query, encode=encoder.encode_texts) == line
        off = Weights(similarity=0.0)
        assert (
            chosen(*lines, before=before, query=query, encode=encoder.encode_texts, weights=off) == lines[0]
        )


def test_all_poems_are_encoded_at_once_and_do_not_touch_one_another():
    encoder = FakeEncoder()
    [query] = encoder.encode_texts(["秋江"])
    judge = LineJudge(query=query, encode=encoder.encode_texts)
    rng = np.random.default_rng(0)
    lines = ["月涌大江流", "飘飘何所似", "城春草木深", "恨别鸟惊心"]
    poems = [
        Trials(before=["星垂平野阔"] * poem, lines=lines, log_probabilities=rng.normal(size=4))
        for poem in range(5)
    ]
    encoder.batches.clear()
    together = judge.choose(poems, keywords=["大江"])
    assert encoder.batches == [20]
    assert together == [judge.choose([poem], keywords=["大江"])[0] for poem in poems]
    assert len(set(together)) > 1
