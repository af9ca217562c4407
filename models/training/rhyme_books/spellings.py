"""Other forms of a character: simplified, Japanese, Taiwan and Hong Kong forms (OpenCC), and `variants.txt`.

What a character means for a rhyme book is any set of readings; a form has the readings of every character
that it stands for, so 干 has those of 干, 乾 and 幹.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
_VARIANTS = Path(__file__).parent / "variants.txt"
# For a character that a table lacks: what it may be a form of, the likeliest conversion first.
_ORIGINS = ("s2t", "jp2t", "tw2t", "hk2t", "t2tw", "t2hk")


@cache
def converter(name: str) -> Callable[[str], str]:
    """OpenCC's conversion `name`, e.g. `t2s`; given one character at a time, it knows no words."""
    import opencc

    return opencc.OpenCC(name).convert


def read_variants(path: Path = _VARIANTS) -> list[str]:
    """The sets of forms, one a line; `#` begins a comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def with_variants(table: Mapping[str, Iterable[Value]], variants: Iterable[str]) -> dict[str, list[Value]]:
    """`table`, where each form that it lacks has got the values of all known forms of its set."""
    spread = {character: list(values) for character, values in table.items()}
    for forms in variants:
        known = [value for form in forms for value in table.get(form, ())]
        spread |= {form: list(dict.fromkeys(known)) for form in forms if form not in table and known}
    return spread


def with_simplified(table: Mapping[str, Iterable[Value]], wanted: Iterable[str]) -> dict[str, list[Value]]:
    """`table` with simplified forms, and those of `wanted` that are other forms of what it holds."""
    simplify = converter("t2s")
    spread: dict[str, dict[Value, None]] = {}
    for character, values in table.items():
        for form in (character, simplify(character)):
            spread.setdefault(form, {}).update(dict.fromkeys(values))
    found = {character: list(values) for character, values in spread.items()}
    for character in wanted:
        if character not in found:
            origin = origin_of(character, spread)
            if origin is not None:
                found[character] = list(spread[origin])
    return found


def origin_of(character: str, table: Mapping[str, object]) -> str | None:
    """A character of `table` that `character` is a form of, by OpenCC; None where there is none."""
    for name in _ORIGINS:
        form = converter(name)(character)
        for candidate in (form, converter("t2s")(form)):
            if candidate in table and candidate != character:
                return candidate
    return None
