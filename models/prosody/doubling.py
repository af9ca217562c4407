"""Doubled characters (叠字): 萧萧 is a word, 宫宫 is a slip of the pen."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

from models.prosody.rhythm import word_starts

_TABLE = Path(__file__).parent / "data" / "doublings.txt"


def may_double(character: str, start: int, characters: int) -> bool:
    """Whether `character` may stand at `start` and again beside it, in a line of 5 or 7 `characters`.

    It may where people double it often enough (`doublings`), and only where the rhythm allows a word: 夜夜 in
    夜夜减清辉, and not in 永夜夜炎天.
    """
    return start in word_starts(characters) and character in doublings()


def wrongly_doubled(line: str) -> int:
    """How often a character of a line of 5 or 7 stands twice in a row and is no word there."""
    return sum(
        one == other and not may_double(one, start, len(line))
        for start, (one, other) in enumerate(pairwise(line))
    )


@cache
def doublings() -> frozenset[str]:
    """The characters that people double, counted by `models.training.doublings`; read at the first call."""
    return frozenset(_TABLE.read_text(encoding="utf-8").split())
