"""The contrastive loss of CLIP (arXiv 2103.00020, figure 3), and recall."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import distributed
from torch.nn import functional

from models.training.chinese_clip.model import ChineseClip, image_features, text_features
from models.training.clip_tuning.adapter import Adapter
from models.training.clip_tuning.pairs import Batch

# CLIP's bound of the learned scale, so that training stays stable.
_LARGEST_SCALE = 100.0


class ContrastiveLoss(torch.nn.Module):
    """A batch → the loss; a module, as a place where gradients of several processes are averaged.

    Pairs with equal texts are right answers to one another. Several processes compare all pairs of a step.
    """

    def __init__(self, model: ChineseClip | Adapter) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> torch.Tensor:
        pictures, texts = (_of_all(rows.float()) for rows in encode(self.model, batch))
        scale = self.model.logit_scale.exp().clamp(max=_LARGEST_SCALE)
        scores = scale * pictures @ texts.T
        which = _of_all(batch.texts)
        same = (which[:, None] == which[None]).float()
        right = same / same.sum(1, keepdim=True)
        # The matrix of right answers is symmetric, so it serves both ways.
        loss = functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)
        return loss / 2


def encode(model: ChineseClip | Adapter, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of the pictures and of the texts, (N, D) each, unit rows."""
    if isinstance(model, Adapter):
        return model.pictures(batch.pixels), model.texts(batch.ids)
    return image_features(model, batch.pixels), text_features(model, batch.ids, batch.mask)


def _of_all(own: torch.Tensor) -> torch.Tensor:
    """The rows of all processes; gradients flow to this one's, such that their mean is the true gradient."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return own
    count, rank = distributed.get_world_size(), distributed.get_rank()
    rows = [torch.empty_like(own) for _ in range(count)]
    distributed.all_gather(rows, own.detach().contiguous())
    if own.is_floating_point():
        # The same value, with a gradient as many times as large as there are processes in the mean.
        own = own + (count - 1) * (own - own.detach())
    rows[rank] = own
    return torch.cat(rows)


def recall(
    pictures: torch.Tensor, texts: torch.Tensor, which: torch.Tensor, *, k: Sequence[int]
) -> dict[str, float]:
    """Share of queries that find a right answer among their best k, both ways.

    Args:
        pictures, texts: float32 (N, D), unit rows of N pairs.
        which: int64 (N,), equal for pairs with equal texts, which are all right.
    """
    scores = texts @ pictures.T
    same = which[:, None] == which[None]
    figures = {}
    for name, rows in (("text_to_picture", scores), ("picture_to_text", scores.T)):
        order = rows.argsort(1, descending=True)
        hits = same.gather(1, order)
        for count in k:
            figures[f"{name}_{count}"] = hits[:, :count].any(1).float().mean().item()
    return figures
