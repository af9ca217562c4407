"""The labelled pictures through the classifier, and the second head fitted to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from models.image import ImageSpec, decode_image, to_pixels
from models.training.lite import concepts, evaluate, export, head, space

FOLDS = 5


def spec() -> ImageSpec:
    """What the image tower reads, as its manifest will say."""
    return ImageSpec(size=export.SIZE, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, views=export.VIEWS)


def pixels_of(file: Path) -> np.ndarray:
    """A picture file as the image tower reads it, float32 (3, V · size, size)."""
    return to_pixels(decode_image(file.read_bytes(), draft=export.SIZE), spec())


def features(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Mean features (N, FEATURES) and mean class probabilities (N, CLASSES) of picture files, float32."""
    classifier = export.load_classifier()
    rows, shares = [], []
    for file in files:
        pixels = torch.from_numpy(pixels_of(file))
        pooled, probabilities = export.look(classifier, pixels[None])
        rows.append(pooled[0].numpy())
        shares.append(probabilities[0].numpy())
    return np.stack(rows), np.stack(shares)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Labelled pictures as the head reads them, row by row."""

    photographs: list[evaluate.Photograph]
    features: np.ndarray
    probabilities: np.ndarray
    evidence: np.ndarray
    shown: np.ndarray

    def fit(self, rows: np.ndarray) -> head.Head:
        return head.fit(self.features[rows], self.evidence[rows], self.shown[rows])


def read(folder: Path) -> Material:
    """What is in `folder` of the parts `develop` and `train`."""
    photographs = [
        photograph
        for photograph in evaluate.read_devset(parts=("develop", "train"))
        if (folder / photograph.name).exists()
    ]
    known = concepts.read_concepts()
    seen, probabilities = features([folder / photograph.name for photograph in photographs])
    loads = concepts.class_loads(space.read_lexicon(), known, concepts.read_never_seen())
    return Material(
        photographs=photographs,
        features=seen,
        probabilities=probabilities,
        evidence=np.minimum(probabilities @ loads, 1),
        shown=concepts.targets([photograph.labels for photograph in photographs], known),
    )


def cross_validated(shared: space.Space, keywords: Sequence[str], folder: Path) -> list[evaluate.Answer]:
    """Answers for the part `develop`, each by a head that was fitted to the other folds and to `train`."""
    material = read(folder)
    folds = np.array([_fold(photograph) for photograph in material.photographs])
    texts = space.encode_texts(shared, keywords)
    found = []
    for fold in range(FOLDS):
        second = replace(shared, head=material.fit(folds != fold))
        held = np.flatnonzero(folds == fold)
        vectors = space.place_pictures(second, material.probabilities[held], material.features[held])
        for row, vector in zip(held, vectors, strict=True):
            found.append(evaluate.answer(material.photographs[row], keywords, texts, vector))
    return found


def _fold(photograph: evaluate.Photograph) -> int:
    """0 to FOLDS - 1 for the part `develop`; -1 for pictures that every head is fitted to."""
    if photograph.part == "train":
        return -1
    return int(hashlib.sha256(photograph.name.encode()).hexdigest(), 16) % FOLDS


def fit_head(folder: Path, out: Path = head.HEAD) -> None:
    """Fit the head to all of `read`, and write it."""
    material = read(folder)
    names = [concept.name for concept in concepts.read_concepts()]
    fitted = material.fit(np.ones(len(material.photographs), bool))
    head.save(fitted, names, out)
    learned = [name for name, bias in zip(names, fitted.bias, strict=True) if bias > head.NEVER]
    print(f"{len(material.photographs)} pictures; {len(learned)} concepts learned: {' '.join(learned)}")
