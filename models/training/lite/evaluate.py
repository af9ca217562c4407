"""How many of the best keywords of a photograph name something that is truly in it.

The labelled set is a list (`devset.tsv`), not pictures: each is a file of a freely licensed package. Its part
`develop` is for choosing, `final` for the figure at the end and for nothing else; `train` has short labels
and only helps to fit the head. A keyword is right when it contains one of the picture's labels; a label that
begins with `=` must be the whole keyword.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.clip import Encoder
from models.diversity import DIVERSITY, POOL, spread
from models.training.lite.concepts import read_concepts, things

DEVSET = Path(__file__).with_name("devset.tsv")
PARTS = ("develop", "final", "train")
TOP = 8


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A picture of the labelled set; `labels` name what it shows."""

    package: str
    file: str
    labels: tuple[str, ...]
    part: str = "develop"

    @property
    def name(self) -> str:
        """Its file's name in the folder of pictures: package, folder and file joined by two underscores."""
        return "__".join([self.package, *self.file.replace(":", "/").split("/")[-2:]])


@dataclass(frozen=True, kw_only=True)
class Answer:
    photograph: Photograph
    keywords: tuple[str, ...]
    right: tuple[bool, ...]


def read_devset(path: Path = DEVSET, *, parts: Sequence[str] = ("develop",)) -> list[Photograph]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Photograph(
                package=row["package"],
                file=row["file"],
                labels=tuple(row["labels"].split()),
                part=row["part"],
            )
            for row in rows
            if row["part"] in parts
        ]


def read_visual_keywords(path: Path) -> list[str]:
    """The words of a keyword list that are marked visual."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["word"] for row in rows if row["visual"] == "1"]


def answers(
    encoder: Encoder,
    keywords: Sequence[str],
    folder: Path,
    *,
    parts: Sequence[str] = ("develop",),
    diversity: float = DIVERSITY,
) -> list[Answer]:
    """The best keywords of every picture of these parts that is in `folder`; `diversity` as in `spread`."""
    vectors = encoder.encode_texts(keywords)
    found = []
    for photograph in read_devset(parts=parts):
        if not (folder / photograph.name).exists():
            continue
        picture = encoder.encode_pictures([(folder / photograph.name).read_bytes()])[0]
        found.append(answer(photograph, keywords, vectors, picture, diversity=diversity))
    return found


def answer(
    photograph: Photograph,
    keywords: Sequence[str],
    vectors: np.ndarray,
    picture: np.ndarray,
    *,
    diversity: float = DIVERSITY,
) -> Answer:
    """The best of `keywords`, whose vectors are (N, D), for a photograph whose vector is (D,)."""
    best = tuple(keywords[place] for place in best_places(vectors, picture, diversity=diversity))
    right = tuple(is_right(word, photograph.labels) for word in best)
    return Answer(photograph=photograph, keywords=best, right=right)


def best_places(vectors: np.ndarray, picture: np.ndarray, *, diversity: float = DIVERSITY) -> list[int]:
    """Places of the best keywords among (N, D) vectors for one (D,) picture."""
    scores = vectors @ picture
    pool = np.argsort(-scores, kind="stable")[: POOL * TOP]
    return pool[spread(scores[pool], vectors[pool], TOP, diversity=diversity)].tolist()


def is_right(keyword: str, labels: Sequence[str]) -> bool:
    return any(keyword == label[1:] if label.startswith("=") else label in keyword for label in labels)


def summary(found: Sequence[Answer]) -> dict[str, float | int]:
    """Precision of the best eight, the share of pictures with at least one right keyword, and how many
    different things the right ones name."""
    known = read_concepts()
    named = [
        things([word for word, right in zip(answer.keywords, answer.right, strict=True) if right], known)
        for answer in found
    ]
    return {
        "pictures": len(found),
        f"precision_at_{TOP}": round(float(np.mean([answer.right for answer in found])), 3),
        "any_right": round(float(np.mean([any(answer.right) for answer in found])), 3),
        "right_things": round(float(np.mean(named)), 2),
    }
