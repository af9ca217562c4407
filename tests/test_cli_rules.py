"""The command line's options for the rules, as they reach the contract."""

from __future__ import annotations

import argparse

import pytest

from image2poem import InvalidOption
from image2poem._cli.rules_options import add_rules, rules_of
from image2poem._wire import compose_request
from image2poem.v1 import rules_pb2


def request_of(*arguments: str, form: str | None = None) -> tuple[rules_pb2.Rules, str | None]:
    """The message that these options make, and the form that goes with them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", default=form)
    add_rules(parser)
    options = parser.parse_args(arguments)
    return compose_request(text="春", **rules_of(options)).rules, options.form


def test_without_options_the_rules_are_the_servers():
    assert request_of() == (rules_pb2.Rules(), None)


def test_every_option_reaches_its_field():
    rules, _ = request_of(
        *("--free", "--rhyme-book", "词林正韵", "--rhyme", "第一部", "--acrostic", "春夏秋冬"),
        *("--fix", "2:明月", "--fix", "4:7:山"),
    )
    assert rules == rules_pb2.Rules(
        unregulated=True,
        rhyme_book=rules_pb2.RHYME_BOOK_CILIN,
        rhyme_group="第一部",
        acrostic="春夏秋冬",
        fixed_texts=[
            rules_pb2.FixedText(line=1, position=0, text="明月"),
            rules_pb2.FixedText(line=3, position=6, text="山"),
        ],
    )


@pytest.mark.parametrize(
    ("form", "name", "pattern"),
    [
        ("wujue", "仄起不入韵", rules_pb2.TONAL_PATTERN_A_UNRHYMED),
        ("qilv", "仄起首句入韵", rules_pb2.TONAL_PATTERN_B_RHYMED),
        (None, "平起入韵", rules_pb2.TONAL_PATTERN_A_RHYMED),
        ("wulv", "平起首句不入韵", rules_pb2.TONAL_PATTERN_B_UNRHYMED),
        ("wulv", "a_rhymed", rules_pb2.TONAL_PATTERN_A_RHYMED),
    ],
)
def test_a_pattern_by_the_name_that_poets_use(form, name, pattern):
    rules, written = request_of("--pattern", name, form=form)
    assert rules.pattern == pattern
    assert written == (form or "qijue")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--pattern", "平起"),
        ("--rhyme-book", "广韵"),
        ("--fix", "月"),
        ("--fix", "0:月"),
        ("--fix", "1:0:月"),
    ],
)
def test_wrong_options_are_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        request_of(*arguments)
    assert left.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        ({"pattern": "x"}, "pattern: must be one of a_unrhymed, a_rhymed, b_unrhymed, b_rhymed"),
        ({"rhyme_book": "x"}, "rhyme_book: must be one of pingshui, cilin, xinyun, tongyun"),
        ({"fixed_texts": [(0, 0)]}, "unpack"),
        ({"fixed_texts": [("a", 0, "春")]}, "line|int"),
        ({"acrostic": 3}, "bad argument|str"),
    ],
)
def test_wrong_values_never_leave_the_client(wish, complaint):
    with pytest.raises(InvalidOption, match=complaint):
        compose_request(text="春", **wish)
