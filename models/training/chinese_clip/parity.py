"""Exported towers held against the model they came from, in PyTorch and fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.session import open_session
from models.training.chinese_clip.export import TOWERS
from models.training.chinese_clip.model import ChineseClip, image_features, picture_size, text_features
from models.training.parity import ParityError

BATCHES = (1, 3, 16)
# Largest difference of any component of the unit vectors, and least cosine.
LIMITS: Mapping[str, tuple[float, float]] = {
    "fp32": (1e-4, 0.9999),
    "fp16": (2.0, 0.9995),
    "int8": (2.0, 0.99),
}
_LONGEST = 52


def measure(
    model: ChineseClip, folder: Path, *, batches: Sequence[int] = BATCHES, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Largest difference and least cosine of each tower in `folder`, over batches of random input."""
    sessions = [open_session(folder / name, threads=torch.get_num_threads()) for name in TOWERS]
    random = torch.Generator().manual_seed(seed)
    figures = {}
    for session, sample, reference in zip(
        sessions, (random_pictures, random_texts), (image_features, text_features), strict=True
    ):
        found = []
        for batch in batches:
            inputs = sample(model, batch, random)
            with torch.no_grad():
                theirs = reference(model, *inputs.values()).numpy()
            ours = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
            found.append((float(np.abs(ours - theirs).max()), float((ours * theirs).sum(1).min())))
        differences, cosines = zip(*found, strict=True)
        name = "image" if sample is random_pictures else "text"
        figures[name] = {"difference": max(differences), "cosine": min(cosines)}
    return figures


def check(figures: Mapping[str, Mapping[str, float]], precision: str) -> None:
    """Raises ParityError where the figures of `measure` are beyond what the precision allows."""
    most, least = LIMITS[precision]
    for tower, found in figures.items():
        if not (found["difference"] <= most and found["cosine"] >= least):
            raise ParityError(f"{tower} tower in {precision}: {dict(found)} against PyTorch")


def random_pictures(model: ChineseClip, count: int, random: torch.Generator) -> dict[str, Any]:
    """Pictures of coarse patches under fine noise, as the model reads them: `pixels` float32 (N, 3, s, s)."""
    size = picture_size(model)
    coarse = torch.randn(count, 3, 8, 8, generator=random)
    fine = torch.randn(count, 3, size, size, generator=random)
    patches = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return {"pixels": patches + 0.2 * fine}


def random_texts(model: ChineseClip, count: int, random: torch.Generator) -> dict[str, Any]:
    """Rows of random tokens of all lengths: `ids` and `mask` int64 (N, T)."""
    config = model.text_model.config
    longest = min(_LONGEST, config.max_position_embeddings)
    lengths = torch.randint(3, longest + 1, (count,), generator=random)
    ids = torch.randint(1, config.vocab_size, (count, int(lengths.max())), generator=random)
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"ids": ids * mask, "mask": mask}


def overlap(
    ours: np.ndarray, theirs: np.ndarray, queries: tuple[np.ndarray, np.ndarray], *, k: int = 8
) -> float:
    """Share of the k best of N keywords that two encoders have in common, mean over the queries.

    Args:
        ours, theirs: float32 (N, D), the keywords' vectors by either.
        queries: float32 (Q, D), the queries' vectors by either, ours first.
    """
    best = [
        np.argpartition(-(query @ keywords.T), k - 1, axis=1)[:, :k]
        for query, keywords in zip(queries, (ours, theirs), strict=True)
    ]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*best, strict=True)]))
