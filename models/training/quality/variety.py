"""How much verse repeats: across poems (distinct-2), between lines, and inside a poem (loops).

A poem here is its lines; pairs of characters are counted inside lines, never across their ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

Lines = Sequence[str]


def distinct_2(poems: Sequence[Lines]) -> float:
    """Different pairs of neighbouring characters, as a share of all of them (Li et al. 2016, distinct-2).

    It falls as more poems are counted together: only figures of equally many poems of one form compare.
    """
    found = [pair for lines in poems for pair in pairs(lines)]
    return len(set(found)) / len(found)


def repeated_line(poems: Sequence[Lines]) -> float:
    """Share of poems that hold a line twice."""
    return _share(len(set(lines)) < len(lines) for lines in poems)


def looping_characters(poems: Sequence[Lines]) -> float:
    """Share of poems in which a character stands three times or more; a doubled one (萧萧) counts once.

    People repeat a character now and then, on purpose; the third time is what a poet does that is stuck.
    """
    return _share(_most_frequent(lines) >= 3 for lines in poems)


def looping_pairs(poems: Sequence[Lines]) -> float:
    """Share of poems in which two neighbouring characters stand together again elsewhere in the poem."""
    return _share(max(Counter(pairs(lines)).values(), default=0) >= 2 for lines in poems)


def repeated_characters(poems: Sequence[Lines]) -> float:
    """Share of characters that stood in their poem before."""
    texts = ["".join(lines) for lines in poems]
    return 1 - sum(len(set(text)) for text in texts) / sum(map(len, texts))


def pairs(lines: Lines) -> Iterator[str]:
    """The pairs of neighbouring characters of each line."""
    return (line[start : start + 2] for line in lines for start in range(len(line) - 1))


def _most_frequent(lines: Lines) -> int:
    single = (c for line in lines for c, before in zip(line, " " + line, strict=False) if c != before)
    return max(Counter(single).values())


def _share(values: Iterator[bool]) -> float:
    return float(np.mean(list(values)))
