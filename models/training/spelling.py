"""How characters are spelled in the corpus: simplified, and in the standard form."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

_VARIANTS = Path(__file__).with_name("variant_characters.txt")


def simplifier() -> Callable[[str], str]:
    """What turns traditional characters into simplified ones, word by word (OpenCC, t2s)."""
    import opencc

    return opencc.OpenCC("t2s").convert


def standard_spelling(text: str) -> str:
    """`text` with older and Japanese forms of characters (鴈, 隠) replaced by the standard ones (雁, 隐)."""
    return text.translate(_standard_forms())


@cache
def _standard_forms() -> dict[int, str]:
    rows = _VARIANTS.read_text(encoding="utf-8").splitlines()
    return {ord(variant): row[0] for row in rows if not row.startswith("#") for variant in row[1:]}
