"""The shared space: where pictures lie among words, and what both name outright.

Norouzi et al. 2014 (arXiv 1312.5650) put a picture where the classifier's best classes lie among words
(ConSE): the first part of the vectors. Some words lie near everything; CSLS (Conneau et al. 2018, arXiv
1710.04087) takes some of a word's mean similarity to its nearest classes off its score: one more dimension.
Then one dimension for each concept (`concepts.py`): how much a text names it, and how sure it is that the
picture shows it, below nought where it is not seen. Three more hold whether a word is never seen, whether it
names no concept, and how frequent it is. All of it is one inner product of unit vectors: any index does it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.clip import LongestMatch
from models.training.lite import concepts, head
from models.training.lite.vectors import TextVectors

LEXICON = Path(__file__).with_name("imagenet_lexicon.tsv")
CLASSES = 1_000
# Measured on the development part (docs/lite.md).
TOP_CLASSES = 10
TEMPERATURE = 1.5
HUB_NEIGHBOURS = 10
HUB_SCALE = 0.5
# Length of a text's words beside its concepts, and of a picture's three parts.
WORDS = 0.866
PICTURE_WORDS = 1.225
PICTURE_HUB = 1.84
UNSEEN = 0.1
EVIDENCE_GAIN = 3.0
NEVER_SEEN, UNNAMED, FREQUENT = -0.5, -0.1, 0.2
# A text's frequency stays below this, so that it hardly moves its length.
FREQUENCY_SCALE = 0.1
# A token of the vocabulary names at most so many concepts.
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Space:
    """What both towers share: V tokens, W dimensions of words, C concepts.

    Attributes:
        tokens: the vocabulary; id 0 is the unknown character.
        vectors: float32 (V, W), unit rows; row 0 is the mean of the characters.
        weights: float32 (V,); the unknown token's is negligible beside any other.
        loads: float32 (V, C), how much each token names each concept; at most NAMED in a row.
        never_seen: float32 (V,), 1 for words that no picture shows.
        frequency: float32 (V,), standardised logarithm, at most 2 either way.
        classes: float32 (CLASSES, W), unit rows.
        class_loads: float32 (CLASSES, C).
        head: what else the features show.
        hub_mean: the mean hubness of the vocabulary.
    """

    tokens: list[str]
    vectors: np.ndarray
    weights: np.ndarray
    loads: np.ndarray
    never_seen: np.ndarray
    frequency: np.ndarray
    classes: np.ndarray
    class_loads: np.ndarray
    head: head.Head
    hub_mean: float

    @property
    def dimension(self) -> int:
        """D: words, hub, concepts, and the last three."""
        return self.vectors.shape[1] + 1 + self.loads.shape[1] + 3


def read_lexicon(path: Path = LEXICON) -> list[list[str]]:
    """Two to six classical words for every class, in the classifier's order."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if [int(row["class"]) for row in rows] != list(range(CLASSES)):
        raise ValueError(f"{path}: the classes 0 to {CLASSES - 1} are not there in order")
    return [row["words"].split() for row in rows]


def build(
    text: TextVectors,
    lexicon: Sequence[Sequence[str]],
    known: Sequence[concepts.Concept],
    second: head.Head,
) -> Space:
    """Put the classes among the text vectors."""
    tokens, vectors, weights = _vocabulary(text, known)
    tokenizer = LongestMatch(tokens)
    words = sorted({word for row in lexicon for word in row})
    encoded = dict(zip(words, compose(vectors, weights, tokenizer, words), strict=True))
    classes = _unit(np.stack([np.mean([encoded[word] for word in row], axis=0) for row in lexicon]))
    never = concepts.read_never_seen()
    return Space(
        tokens=tokens,
        vectors=vectors,
        weights=weights,
        loads=_largest(concepts.loads(tokens, known, never)),
        never_seen=np.array([token in never for token in tokens], np.float32),
        frequency=_frequency(weights),
        classes=classes,
        class_loads=concepts.class_loads(lexicon, known, never),
        head=second,
        hub_mean=float(hubness(vectors, classes).mean()),
    )


def _vocabulary(
    text: TextVectors, known: Sequence[concepts.Concept]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Tokens, vectors and weights: the unknown character, the corpus's, and words that only the concepts
    know, composed of their characters."""
    mean = _unit(text.vectors[[len(token) == 1 for token in text.tokens]].mean(axis=0))
    tokens = ["�", *text.tokens]
    vectors = np.concatenate([mean[None], text.vectors])
    weights = np.concatenate([[np.float32(1e-6)], text.weights])
    named = concepts.read_never_seen().union(*(concept.words | concept.excluded for concept in known))
    new = sorted(named - set(tokens))
    composed = compose(vectors, weights, LongestMatch(tokens), ["", *new])[1:]
    rare = np.full(len(new), weights.max(), np.float32)
    return [*tokens, *new], np.concatenate([vectors, composed]), np.concatenate([weights, rare])


def _frequency(weights: np.ndarray) -> np.ndarray:
    """The logarithm of a token's share p of the corpus, standardised; its weight is a / (a + p)."""
    share = np.log(np.maximum(1 / weights - 1, 1e-6))
    return np.clip((share - share.mean()) / share.std(), -2, 2).astype(np.float32)


def _largest(loads: np.ndarray) -> np.ndarray:
    """Keep the NAMED largest of each row."""
    kept = np.argsort(-loads, axis=1, kind="stable")[:, :NAMED]
    rows = np.arange(len(loads))[:, None]
    result = np.zeros_like(loads)
    result[rows, kept] = loads[rows, kept]
    return result


def compose(
    vectors: np.ndarray, weights: np.ndarray, tokenizer: LongestMatch, texts: Sequence[str]
) -> np.ndarray:
    """float32 (N, W): unit weighted means of the tokens of each text."""
    rows = [np.asarray(tokenizer(text)) for text in texts]
    return _unit(np.stack([(weights[ids, None] * vectors[ids]).sum(axis=0) for ids in rows]))


def hubness(vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """float32 (N,): mean similarity of unit `vectors` to their nearest classes."""
    similarity = vectors @ classes.T
    return np.sort(similarity, axis=1)[:, -HUB_NEIGHBOURS:].mean(axis=1)


def encode_texts(space: Space, texts: Sequence[str]) -> np.ndarray:
    """float32 (N, D), unit rows: the reference that the exported text tower must equal."""
    tokenizer = LongestMatch(space.tokens)
    words = compose(space.vectors, space.weights, tokenizer, texts)
    penalty = HUB_SCALE * (hubness(words, space.classes) - space.hub_mean)[:, None]
    rows = [np.asarray(tokenizer(text)) for text in texts]
    named = np.stack([space.loads[ids].max(axis=0) for ids in rows])
    last = [
        [space.never_seen[ids].mean(), named[place].max() == 0, FREQUENCY_SCALE * space.frequency[ids].mean()]
        for place, ids in enumerate(rows)
    ]
    return _unit(np.concatenate([WORDS * words, -WORDS * penalty, named, np.array(last)], axis=1))


def place_pictures(space: Space, probabilities: np.ndarray, features: np.ndarray) -> np.ndarray:
    """float32 (N, D), unit rows, of class probabilities (N, CLASSES) and mean features (N, FEATURES)."""
    lowest = np.sort(probabilities, axis=1)[:, -TOP_CLASSES, None]
    best = np.where(probabilities >= lowest, probabilities, 0)
    evidence = np.minimum(probabilities @ space.class_loads, 1)
    seen = np.maximum(space.head(features, evidence), np.minimum(EVIDENCE_GAIN * evidence, 1)) - UNSEEN
    constants = np.tile(np.float32([NEVER_SEEN, UNNAMED, FREQUENT]), (len(best), 1))
    hub = np.full((len(best), 1), PICTURE_HUB)
    return _unit(np.concatenate([PICTURE_WORDS * _unit(best @ space.classes), hub, seen, constants], axis=1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)
