"""The command line's options for the rules of a poem."""

from __future__ import annotations

import argparse
import re

from image2poem.wishes import ComposeWish

PATTERNS = ("a_unrhymed", "a_rhymed", "b_unrhymed", "b_rhymed")
BOOKS = {"平水韵": "pingshui", "词林正韵": "cilin", "中华新韵": "xinyun", "中华通韵": "tongyun"}
_STARTS = {("平起", 5): "b", ("仄起", 5): "a", ("平起", 7): "a", ("仄起", 7): "b"}
_PATTERN = re.compile("(平起|仄起)(?:首句)?(不?)入韵")
_FIX = re.compile(r"(\d+)(?::(\d+))?:(\S+)")


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rules_of`."""
    rules = parser.add_argument_group("rules", "tones and rhyme are kept by 平水韵 unless you say otherwise")
    rules.add_argument("--free", action="store_true", help="keep the lengths alone, no tones, no rhyme")
    rules.add_argument(
        "--pattern",
        type=_pattern,
        metavar="平起入韵",
        help=f"the tonal pattern: 平起 or 仄起, 入韵 or 不入韵; or one of {', '.join(PATTERNS)}",
    )
    rules.add_argument(
        "--rhyme-book",
        type=book_named,
        metavar="BOOK",
        help=f"{', '.join(BOOKS)} ({', '.join(BOOKS.values())})",
    )
    rules.add_argument("--rhyme", metavar="尤", help="the rhyme group, one of the book's level groups")
    rules.add_argument("--acrostic", metavar="春夏秋冬", help="藏头: the first characters of the lines")
    rules.add_argument(
        "--fix",
        type=_fixed,
        action="append",
        metavar="LINE[:PLACE]:TEXT",
        help="characters that stand in this line from this place on, both counted from 1; may be repeated",
    )


def rules_of(options: argparse.Namespace) -> ComposeWish:
    """The rules of a wish, as the clients take them."""
    pattern = options.pattern
    if isinstance(pattern, tuple):
        start, rhymed = pattern
        # Where no form is asked for, what the names say is said of the form that is asked for then: 七绝.
        options.form = options.form or "qijue"
        pattern = _STARTS[start, 5 if options.form.startswith("wu") else 7] + rhymed
    return {
        "regulated": not options.free,
        "pattern": pattern,
        "rhyme_book": options.rhyme_book,
        "rhyme_group": options.rhyme,
        "acrostic": options.acrostic,
        "fixed_texts": options.fix,
    }


def _pattern(text: str) -> str | tuple[str, str]:
    """A stable name, or for a Chinese one how line 1 begins and the stable name's second half."""
    if text in PATTERNS:
        return text
    found = _PATTERN.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is none of 平起入韵, 平起不入韵, 仄起入韵, 仄起不入韵")
    return found[1], "_unrhymed" if found[2] else "_rhymed"


def book_named(text: str) -> str:
    """A book's stable name, for that or its Chinese one; for argparse."""
    name = BOOKS.get(text, text)
    if name not in BOOKS.values():
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(BOOKS)}")
    return name


def _fixed(text: str) -> tuple[int, int, str]:
    found = _FIX.fullmatch(text)
    if not found or not int(found[1]) or not int(found[2] or 1):
        raise argparse.ArgumentTypeError(f"{text} is not LINE:TEXT or LINE:PLACE:TEXT, counted from 1")
    return int(found[1]) - 1, int(found[2] or 1) - 1, found[3]
