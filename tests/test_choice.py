"""Choosing among drafts."""

from __future__ import annotations

import numpy as np
import pytest

from models.choice import most_parallel, standard_scores


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
    even = np.zeros(2)
    assert most_parallel(upper, [other, parallel], even) == 1
    assert most_parallel(upper, [parallel, other], even) == 0


def test_a_line_that_is_far_likelier_wins_among_equals():
    lines = ["月涌大江流", "月涌大江流", "月涌大江流"]
    assert most_parallel("星垂平野阔", lines, np.array([-30.0, -10.0, -25.0])) == 1
