"""Pictures with their texts, out of a folder or a JSONL file, and batches of them."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.image import ImageSpec, InvalidImage, decode_image, to_pixels
from models.training.config import InvalidRun
from models.wordpiece import WordPiece

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A picture's file and one text that describes it."""

    picture: Path
    text: str


def read_pairs(path: Path) -> list[Pair]:
    """Read pairs.

    A folder has pictures and beside each a `.txt` of its name, a text a line. A JSONL file has `image` (a
    path, relative to the file) and `text` (one, or a list of them) a line. Raises InvalidRun where there are
    none, or where a line or a picture is missing.
    """
    pairs = list(_folder(path) if path.is_dir() else _lines(path))
    if not pairs:
        raise InvalidRun(f"{path}: no pictures with texts")
    return pairs


def _folder(path: Path) -> Iterator[Pair]:
    for picture in sorted(path.rglob("*")):
        texts = picture.with_suffix(".txt")
        if picture.suffix.lower() in _PICTURES and texts.is_file():
            for line in texts.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    yield Pair(picture=picture, text=line.strip())


def _lines(path: Path) -> Iterator[Pair]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidRun(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            picture, texts = path.parent / entry["image"], entry["text"]
        except (ValueError, LookupError, TypeError) as error:
            raise InvalidRun(f"{path}, line {number}: no object with image and text") from error
        if not picture.is_file():
            raise InvalidRun(f"{path}, line {number}: there is no {picture}")
        for text in [texts] if isinstance(texts, str) else texts:
            yield Pair(picture=picture, text=text)


def split(pairs: Sequence[Pair], *, share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """To train on, and held out: that share of the pictures, each with all its texts."""
    pictures = sorted({pair.picture for pair in pairs})
    random.Random(seed).shuffle(pictures)
    held = set(pictures[: max(1, round(share * len(pictures)))])
    return [pair for pair in pairs if pair.picture not in held], [
        pair for pair in pairs if pair.picture in held
    ]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """N pairs: `pixels` float32 (N, 3, s, s); `ids`, `mask` int64 (N, T); `texts` int64 (N,), equal for equal
    texts. Where the towers are frozen, `pixels` and `ids` are what they made of them (adapter.py)."""

    pixels: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor
    texts: torch.Tensor

    def to(self, device: str) -> Batch:
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


class Batches(ABC):
    """Endless passes over the pairs, without a picture twice in a batch; all follows from seed and step.

    Attributes:
        pairs: how many there are.
        per_pass: batches of the first pass.
    """

    def __init__(self, pairs: Sequence[Pair], *, size: int, seed: int) -> None:
        self.pairs = len(pairs)
        self._pairs = list(pairs)
        self._size = min(size, len({pair.picture for pair in pairs}))
        self._seed = seed
        self._texts = {text: place for place, text in enumerate(dict.fromkeys(p.text for p in pairs))}
        self._pass: tuple[int, list[list[Pair]]] = (-1, [])
        self.per_pass = len(self._order(0))

    def at(self, step: int, *, rank: int = 0, count: int = 1) -> Batch:
        """What process `rank` of `count` reads at a step."""
        number, place = divmod(step * count + rank, self.per_pass)
        batches = self._order(number)
        return self.make(batches[place % len(batches)])

    @abstractmethod
    def make(self, pairs: Sequence[Pair]) -> Batch:
        """A batch of these pairs. Raises InvalidRun where a picture cannot be read."""

    def which(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """int64 (N,): the number of each pair's text; -1 where it is none that is trained on."""
        return torch.tensor([self._texts.get(pair.text, -1) for pair in pairs])

    def _order(self, number: int) -> list[list[Pair]]:
        """The batches of a pass; a batch that would not be full is left out, another pass has other ones."""
        if self._pass[0] != number:
            left = list(self._pairs)
            random.Random(f"{self._seed}/{number}").shuffle(left)
            batches: list[list[Pair]] = []
            while len({pair.picture for pair in left}) >= self._size:
                batch: dict[Path, Pair] = {}
                rest = []
                for pair in left:
                    if len(batch) < self._size and pair.picture not in batch:
                        batch[pair.picture] = pair
                    else:
                        rest.append(pair)
                batches.append(list(batch.values()))
                left = rest
            self._pass = number, batches
        return self._pass[1]


class PixelBatches(Batches):
    """Batches as a Chinese-CLIP reads them."""

    def __init__(
        self, pairs: Sequence[Pair], *, size: int, seed: int, spec: ImageSpec, tokenizer: WordPiece
    ) -> None:
        super().__init__(pairs, size=size, seed=seed)
        self._spec = spec
        self._tokenizer = tokenizer

    def make(self, pairs: Sequence[Pair]) -> Batch:
        rows = [self._tokenizer(pair.text) for pair in pairs]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return Batch(pixels=self._pixels(pairs), ids=ids, mask=mask, texts=self.which(pairs))

    def _pixels(self, pairs: Sequence[Pair]) -> torch.Tensor:
        rows = []
        for pair in pairs:
            try:
                image = decode_image(pair.picture.read_bytes(), draft=self._spec.size)
            except (InvalidImage, OSError) as error:
                raise InvalidRun(f"{pair.picture}: {error}") from error
            rows.append(to_pixels(image, self._spec))
        return torch.from_numpy(np.stack(rows))
