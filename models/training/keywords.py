"""Mine the keyword list (意象词) from the corpus.

    python -m models.training.keywords --corpus runs/corpus --out index_builder/data/keywords.tsv

Two-character words on the rhythm's boundaries, seen at least `--least` times in the training split, ranked
by frequency times pointwise mutual information of the two characters: the best visual words, the best of the
others, and single imagery characters. A word is visual, with a category, by `imagery.tsv` (the head of a word
is its last character) and the reviewed `imagery_exceptions.tsv`.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from models.prosody.rhythm import words
from models.training.corpus import Poem, load

_TABLES = Path(__file__).parent
# After a visual noun these make a place out of it: 山中, 花前, 水边.
_LOCALIZERS = frozenset("上下中边前外里头间畔底")
# Their characters say how a thing looks, not that there is one.
_MODIFIERS = frozenset({"colour", "light"})


@dataclass(frozen=True, kw_only=True)
class Imagery:
    """Which words can be seen: head characters by category, and reviewed exceptions by word."""

    heads: dict[str, str]
    exceptions: dict[str, str] = field(default_factory=dict)

    def category(self, word: str) -> str | None:
        """`sky`, `land`, `plant`, `animal`, `building`, `object`, `person`, … or None when not visual."""
        if word in self.exceptions:
            category = self.exceptions[word]
            return None if category == "none" else category
        head = self._noun(word[-1])
        if head is None and word[-1] in _LOCALIZERS:
            head = self._noun(word[0])
        return head

    def _noun(self, character: str) -> str | None:
        category = self.heads.get(character)
        return None if category in _MODIFIERS else category


@dataclass(frozen=True, kw_only=True)
class MinedWord:
    word: str
    count: int
    category: str | None


def load_imagery(folder: Path = _TABLES) -> Imagery:
    """Read the two reviewed tables."""
    heads: dict[str, str] = {}
    for row in _rows(folder / "imagery.tsv"):
        for character in row["characters"].replace(" ", ""):
            heads.setdefault(character, row["category"])
    exceptions = {row["word"]: row["category"] for row in _rows(folder / "imagery_exceptions.tsv")}
    return Imagery(heads=heads, exceptions=exceptions)


def mine(poems: Iterable[Poem], imagery: Imagery, *, least: int, visual: int, other: int) -> list[MinedWord]:
    """The `visual` best visual words, the `other` best of the rest, then visual single characters.

    Each was seen in the poems at least `least` times.
    """
    singles: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for poem in poems:
        singles.update(poem.text)
        for line in poem.lines:
            pairs.update(set(words(line)))
    ranked = sorted(
        (word for word, count in pairs.items() if count >= least),
        key=lambda word: (-_weight(word, pairs, singles), word),
    )
    mined = [MinedWord(word=word, count=pairs[word], category=imagery.category(word)) for word in ranked]
    characters = [MinedWord(word=c, count=n, category=imagery.category(c)) for c, n in singles.most_common()]
    return [
        *[row for row in mined if row.category][:visual],
        *[row for row in mined if not row.category][:other],
        *[row for row in characters if row.category and row.count >= least],
    ]


def read_keywords(path: Path) -> list[MinedWord]:
    """Read the list that `main` wrote."""
    return [
        MinedWord(word=row["word"], count=int(row["count"]), category=row["category"] or None)
        for row in _rows(path)
    ]


def _weight(word: str, pairs: Counter[str], singles: Counter[str]) -> float:
    """Frequency × PMI: n(ab) · log(p(ab) / p(a)p(b))."""
    count = pairs[word]
    expected = singles[word[0]] * singles[word[1]] / singles.total()
    return count * math.log(count / expected)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.keywords", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--least", type=int, default=30, help="occurrences a word needs")
    parser.add_argument("--visual", type=int, default=5_000, help="visual two-character words to keep")
    parser.add_argument("--other", type=int, default=2_200, help="other two-character words to keep")
    options = parser.parse_args()
    mined = mine(
        load(options.corpus, "train"),
        load_imagery(),
        least=options.least,
        visual=options.visual,
        other=options.other,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8") as file:
        file.write("word\tcount\tcategory\tvisual\n")
        for row in mined:
            file.write(f"{row.word}\t{row.count}\t{row.category or ''}\t{int(row.category is not None)}\n")
    visual = sum(row.category is not None for row in mined)
    print(f"{len(mined)} words, {visual} of them visual, in {options.out}")


if __name__ == "__main__":
    main()
