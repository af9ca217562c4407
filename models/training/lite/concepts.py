"""What a picture can show, and which words name it.

`concepts.tsv` has a row for each concept: the characters that name it in any word, more words that do, and
words that have such a character and name something else (云鬓 is no cloud). `never_seen.txt` lists words
that no picture shows: single places, figures of speech, halves of names.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CONCEPTS = Path(__file__).with_name("concepts.tsv")
NEVER_SEEN = Path(__file__).with_name("never_seen.txt")
# A word is about its last character; those before it are named as well, but say less of what is meant.
MODIFIER = 0.75


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One thing that pictures show, and how words name it."""

    name: str
    characters: frozenset[str]
    words: frozenset[str]
    excluded: frozenset[str]

    def load(self, word: str) -> float:
        """How much `word` names this concept, 0 to 1."""
        if word in self.excluded:
            return 0
        if word in self.words or word[-1:] in self.characters:
            return 1
        return MODIFIER if any(character in self.characters for character in word) else 0

    def shown_by(self, labels: Sequence[str]) -> bool:
        """Whether one of a picture's labels is a character or a word of this concept."""
        return any(label.lstrip("=") in self.characters | self.words for label in labels)


def read_concepts(path: Path = CONCEPTS) -> list[Concept]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Concept(
                name=row["concept"],
                characters=frozenset(row["characters"].split()),
                words=frozenset(row["words"].split()),
                excluded=frozenset(row["not"].split()),
            )
            for row in rows
        ]


def read_never_seen(path: Path = NEVER_SEEN) -> frozenset[str]:
    return frozenset(path.read_text(encoding="utf-8").split())


def loads(words: Sequence[str], concepts: Sequence[Concept], never_seen: frozenset[str]) -> np.ndarray:
    """float32 (N, C): how much each word names each concept; nothing for words that are never seen."""
    rows = [[0.0 if word in never_seen else c.load(word) for c in concepts] for word in words]
    return np.array(rows, np.float32).reshape(len(words), len(concepts))


def class_loads(
    lexicon: Sequence[Sequence[str]], concepts: Sequence[Concept], never_seen: frozenset[str]
) -> np.ndarray:
    """float32 (CLASSES, C): a class shows what half of its words name, or less where fewer do."""
    rows = [2 * loads(words, concepts, never_seen).mean(axis=0) for words in lexicon]
    return np.minimum(np.stack(rows), 1)


def things(words: Sequence[str], concepts: Sequence[Concept]) -> int:
    """How many different things words name: two name one where the concept that each names most is the same,
    or, where they name none, their last character."""
    found: list[set[str]] = []
    for word in words:
        named = _most_named(word, concepts)
        same = next((thing for thing in found if thing & named), None)
        if same is None:
            found.append(named)
        else:
            same |= named
    return len(found)


def _most_named(word: str, concepts: Sequence[Concept]) -> set[str]:
    loads = {concept.name: concept.load(word) for concept in concepts}
    most = max(loads.values(), default=0)
    return {name for name, load in loads.items() if load == most} if most else {word[-1:]}


def targets(labels: Sequence[Sequence[str]], concepts: Sequence[Concept]) -> np.ndarray:
    """float32 (N, C): which concepts labelled pictures show."""
    return np.array([[concept.shown_by(row) for concept in concepts] for row in labels], np.float32)
