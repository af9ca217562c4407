"""Counts which character closes a line after which: what the decoding constraint looks ahead with.

    python -m models.training.endings --corpus runs/corpus --out models/prosody/data/endings.npz

Only the training split is read. Pairs that stand once in the whole split are left out: they are one poet's
fancy or a copyist's slip, and more than half of the table. `seen` still counts them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.training.corpus import Poem, load

LEAST = 2
_MOST = np.iinfo(np.uint16).max


def count_endings(poems: Iterable[Poem]) -> Counter[str]:
    """How often each pair of characters closes a line."""
    return Counter(line[-2:] for poem in poems for line in poem.lines)


def write_endings(counts: Counter[str], path: Path, *, least: int = LEAST) -> None:
    """Write the arrays that models.prosody.endings reads, without pairs counted fewer than `least` times.

    The same counts give the same bytes.
    """
    seen: Counter[str] = Counter()
    for pair, count in counts.items():
        seen[pair[0]] += count
    pairs = sorted(pair for pair, count in counts.items() if count >= least)
    characters = sorted(set("".join(pairs)))
    number = {character: index for index, character in enumerate(characters)}
    np.savez_compressed(
        path,
        characters=np.array([ord(character) for character in characters], dtype=np.uint32),
        seen=np.array([seen[character] for character in characters], dtype=np.uint32),
        before=np.array([number[pair[0]] for pair in pairs], dtype=np.uint16),
        last=np.array([number[pair[1]] for pair in pairs], dtype=np.uint16),
        count=np.array([min(counts[pair], _MOST) for pair in pairs], dtype=np.uint16),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.endings", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    counts = count_endings(load(options.corpus, "train"))
    write_endings(counts, options.out)
    print(f"{len(counts)} pairs at {counts.total()} lines' ends, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
