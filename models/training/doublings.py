"""Which characters people double (萧萧, 年年), as `models.prosody.doubling` reads them.

    python -m models.training.doublings --corpus runs/corpus --out models/prosody/data/doublings.txt

A character counts that stands twice in a row in ten lines of the training split or more, at the rhythm's
places, and in at least two of a thousand of its uses. What is left out is doubled by chance, or for want of a
better word (花花, 月月).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from models.prosody.rhythm import words
from models.training.corpus import load

_LEAST, _LEAST_SHARE = 10, 0.002


def doubled(lines: Iterable[str], *, least: int = _LEAST, share: float = _LEAST_SHARE) -> list[str]:
    """The characters, the most often doubled ones first."""
    pairs: Counter[str] = Counter()
    uses: Counter[str] = Counter()
    for line in lines:
        uses.update(line)
        pairs.update(word[0] for word in words(line) if word[0] == word[1])
    return [
        character
        for character, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        if count >= least and count >= share * uses[character]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.doublings", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = doubled(line for poem in load(options.corpus, "train") for line in poem.lines)
    options.out.write_text("".join(f"{character}\n" for character in found), encoding="utf-8")
    print(f"{len(found)} characters in {options.out}")


if __name__ == "__main__":
    main()
