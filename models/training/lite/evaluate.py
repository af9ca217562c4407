"""How many of the best keywords of a photograph name something that is truly in it.

The development set is a list with labels (`devset.tsv`), not pictures: each is a file of a freely licensed
Debian or PyPI package. A keyword is right when it contains one of the picture's labels; a label that begins
with `=` must be the whole keyword.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.clip import Encoder

DEVSET = Path(__file__).with_name("devset.tsv")
TOP = 8


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A picture of the development set; `labels` name what it shows."""

    package: str
    file: str
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its file's name in the folder of pictures: package, folder and file joined by two underscores."""
        return "__".join([self.package, *self.file.replace(":", "/").split("/")[-2:]])


@dataclass(frozen=True, kw_only=True)
class Answer:
    photograph: Photograph
    keywords: tuple[str, ...]
    right: tuple[bool, ...]


def read_devset(path: Path = DEVSET) -> list[Photograph]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Photograph(package=row["package"], file=row["file"], labels=tuple(row["labels"].split()))
            for row in rows
        ]


def read_visual_keywords(path: Path) -> list[str]:
    """The words of a keyword list that are marked visual."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["word"] for row in rows if row["visual"] == "1"]


def answers(encoder: Encoder, keywords: Sequence[str], folder: Path) -> list[Answer]:
    """The best keywords of every picture of the development set that is in `folder`."""
    vectors = encoder.encode_texts(keywords)
    found = []
    for photograph in read_devset():
        if not (folder / photograph.name).exists():
            continue
        picture = encoder.encode_pictures([(folder / photograph.name).read_bytes()])[0]
        best = tuple(keywords[place] for place in np.argsort(-(vectors @ picture), kind="stable")[:TOP])
        right = tuple(is_right(word, photograph.labels) for word in best)
        found.append(Answer(photograph=photograph, keywords=best, right=right))
    return found


def is_right(keyword: str, labels: Sequence[str]) -> bool:
    return any(keyword == label[1:] if label.startswith("=") else label in keyword for label in labels)


def summary(found: Sequence[Answer]) -> dict[str, float | int]:
    """Precision of the best eight, and the share of pictures with at least one right keyword."""
    return {
        "pictures": len(found),
        f"precision_at_{TOP}": round(float(np.mean([answer.right for answer in found])), 3),
        "any_right": round(float(np.mean([any(answer.right) for answer in found])), 3),
    }
