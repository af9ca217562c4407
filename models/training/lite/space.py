"""The shared space: ImageNet classes as means of classical words (ConSE), and the correction of hubs.

Norouzi et al. 2014 (arXiv 1312.5650) put a picture where the classifier's best classes lie among words. Some
words lie near everything; CSLS (Conneau et al. 2018, arXiv 1710.04087) takes half of a word's mean similarity
to its nearest classes off its score. Here that penalty is one more dimension of the unit vectors, so that
any inner-product index applies it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.clip import LongestMatch
from models.training.lite.vectors import TextVectors

LEXICON = Path(__file__).with_name("imagenet_lexicon.tsv")
CLASSES = 1_000
# Measured on the development set (docs/lite.md).
TOP_CLASSES = 10
TEMPERATURE = 1.5
HUB_NEIGHBOURS = 10
# Length of a text's penalty per unit of excess similarity; with a picture's two parts of equal length it
# takes HUB_SCALE of the excess off the score, which is CSLS's one half.
HUB_SCALE = 0.5
PICTURE_PART = 0.5**0.5


@dataclass(frozen=True, kw_only=True)
class Space:
    """What both towers share.

    Attributes:
        tokens: the vocabulary; id 0 is the unknown character.
        vectors: float32 (V, D - 1), unit rows; row 0 is the mean of the characters.
        weights: float32 (V,); the unknown token's is negligible beside any other.
        classes: float32 (CLASSES, D - 1), unit rows.
        hub_mean: the mean hubness of the vocabulary.
    """

    tokens: list[str]
    vectors: np.ndarray
    weights: np.ndarray
    classes: np.ndarray
    hub_mean: float


def read_lexicon(path: Path = LEXICON) -> list[list[str]]:
    """Two to six classical words for every class, in the classifier's order."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if [int(row["class"]) for row in rows] != list(range(CLASSES)):
        raise ValueError(f"{path}: the classes 0 to {CLASSES - 1} are not there in order")
    return [row["words"].split() for row in rows]


def build(text: TextVectors, lexicon: Sequence[Sequence[str]]) -> Space:
    """Put the classes among the text vectors."""
    mean = _unit(text.vectors[[len(token) == 1 for token in text.tokens]].mean(axis=0))
    tokens = ["�", *text.tokens]
    vectors = np.concatenate([mean[None], text.vectors])
    weights = np.concatenate([[np.float32(1e-6)], text.weights])
    tokenizer = LongestMatch(tokens)
    words = sorted({word for row in lexicon for word in row})
    encoded = dict(zip(words, compose(vectors, weights, tokenizer, words), strict=True))
    classes = _unit(np.stack([np.mean([encoded[word] for word in row], axis=0) for row in lexicon]))
    hubs = hubness(vectors, classes)
    return Space(
        tokens=tokens, vectors=vectors, weights=weights, classes=classes, hub_mean=float(hubs.mean())
    )


def compose(
    vectors: np.ndarray, weights: np.ndarray, tokenizer: LongestMatch, texts: Sequence[str]
) -> np.ndarray:
    """float32 (N, D - 1): unit weighted means of the tokens of each text."""
    rows = [np.asarray(tokenizer(text)) for text in texts]
    return _unit(np.stack([(weights[ids, None] * vectors[ids]).sum(axis=0) for ids in rows]))


def hubness(vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """float32 (N,): mean similarity of unit `vectors` to their nearest classes."""
    similarity = vectors @ classes.T
    return np.sort(similarity, axis=1)[:, -HUB_NEIGHBOURS:].mean(axis=1)


def encode_texts(space: Space, texts: Sequence[str]) -> np.ndarray:
    """float32 (N, D), unit rows: the reference that the exported text tower must equal."""
    words = compose(space.vectors, space.weights, LongestMatch(space.tokens), texts)
    penalty = HUB_SCALE * (hubness(words, space.classes) - space.hub_mean)[:, None]
    return np.concatenate([words * np.sqrt(1 - penalty**2), -penalty], axis=1)


def place_pictures(space: Space, probabilities: np.ndarray) -> np.ndarray:
    """float32 (N, D), unit rows, of class probabilities (N, CLASSES)."""
    lowest = np.sort(probabilities, axis=1)[:, -TOP_CLASSES, None]
    best = np.where(probabilities >= lowest, probabilities, 0)
    direction = PICTURE_PART * _unit(best @ space.classes)
    return np.concatenate([direction, np.full((len(direction), 1), PICTURE_PART, np.float32)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)
