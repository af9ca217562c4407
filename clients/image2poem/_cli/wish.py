"""The options that say what poem is wanted; `compose` and `batch` share them."""

from __future__ import annotations

import argparse
import re

from image2poem._cli.rules_options import add_rules, rules_of
from image2poem.wishes import ComposeWish

FORMS = ("wujue", "qijue", "wulv", "qilv")


def add_wish(command: argparse.ArgumentParser) -> None:
    """Add the options of `wish_of`."""
    add = command.add_argument
    add("--poet", metavar="NAME", help="one of the server's poets, e.g. t5 or gpt2")
    add("--form", choices=FORMS, help="五绝, 七绝, 五律 or 七律; the poet's choice by default")
    add("--subject", metavar="送别", help="what kind of poem; see info")
    add("--top-k", type=int, metavar="K", help="how many keywords are looked up (8)")
    add("--candidates", type=int, default=1, metavar="N", help="write N poems, show the best (1)")
    add("--line-choices", type=int, metavar="N", help="choose each line of N; 1 streams every character")
    add("--seed", type=int, metavar="N", help="the same seed writes the same poem")
    add("--temperature", type=float, metavar="T", help="0 … 2, higher is bolder")
    add("--top-p", type=float, metavar="P", help="draw from the likeliest characters")
    add("--sampling-top-k", type=int, metavar="K", help="draw from K characters (no bound)")
    add("--min-p", type=float, metavar="P", help="draw from the not much less likely (off)")
    add("--frequency-penalty", type=float, metavar="F", help="repeat less; 0 is off (2)")
    add_rules(command)


def wish_of(options: argparse.Namespace) -> ComposeWish:
    """What the options ask for, but for the source."""
    # First: a pattern's name may settle the form.
    rules = rules_of(options)
    return {
        "poet": options.poet,
        "form": options.form,
        "subject": options.subject,
        "top_k": options.top_k,
        "candidates": options.candidates,
        "line_choices": options.line_choices,
        "seed": options.seed,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "sampling_top_k": options.sampling_top_k,
        "min_p": options.min_p,
        "frequency_penalty": options.frequency_penalty,
        **rules,
    }


def words(text: str) -> list[str]:
    """Words with commas or spaces between them; for argparse."""
    found = [word for word in re.split(r"[,，、\s]+", text) if word]
    if not found:
        raise argparse.ArgumentTypeError("names no word")
    return found
