"""A second head on the classifier's features: what ImageNet has no class for.

One logistic regression for each concept that enough labelled pictures show (sky, cloud, grass, dusk, lake …),
on the pooled features and on what the classifier's own classes say. A few hundred pictures are enough
because the features are not trained. The fitted weights are kept beside this file (`head.npz`), so that a
bundle is built without the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

HEAD = Path(__file__).with_name("head.npz")
FEATURES = 1_280
# Measured by cross-validation on the development part (docs/lite.md).
LEAST_PICTURES = 5
PENALTY = 2e-4
_FEATURE_SCALE = 20
_EVIDENCE_SCALE = 2
_ITERATIONS = 150
# The bias of a concept that too few pictures show.
NEVER = -20.0


@dataclass(frozen=True, kw_only=True)
class Head:
    """Logits of C concepts: features @ `features` + evidence @ `evidence` + `bias`; NEVER where
    none is learned.

    Attributes:
        features: float32 (FEATURES, C).
        evidence: float32 (C, C).
        bias: float32 (C,).
    """

    features: np.ndarray
    evidence: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """float32 (N, C), 0 to 1, of mean features (N, FEATURES) and evidence (N, C)."""
        return 1 / (1 + np.exp(-(features @ self.features + evidence @ self.evidence + self.bias)))


def fit(features: np.ndarray, evidence: np.ndarray, shown: np.ndarray) -> Head:
    """Fit on mean features (N, FEATURES), evidence (N, C) and what is shown (N, C), 0 or 1."""
    learned = np.flatnonzero(shown.sum(axis=0) >= LEAST_PICTURES)
    mean, scale = features.mean(axis=0), _FEATURE_SCALE * (features.std(axis=0) + 0.05)
    inputs = np.concatenate([(features - mean) / scale, _EVIDENCE_SCALE * evidence], axis=1)
    weights, bias = _logistic(inputs.astype(np.float32), shown[:, learned])
    count = shown.shape[1]
    head = Head(
        features=np.zeros((FEATURES, count), np.float32),
        evidence=np.zeros((count, count), np.float32),
        bias=np.full(count, NEVER, np.float32),
    )
    head.features[:, learned] = weights[:FEATURES] / scale[:, None]
    head.evidence[:, learned] = weights[FEATURES:] * _EVIDENCE_SCALE
    head.bias[learned] = bias - mean @ head.features[:, learned]
    return head


def _logistic(inputs: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of independent logistic regressions, the weights penalised."""
    x, y = torch.from_numpy(inputs), torch.from_numpy(shown)
    share = y.mean(0).clamp(min=0.5 / len(y))
    weights = torch.zeros(x.shape[1], y.shape[1], requires_grad=True)
    bias = (share / (1 - share + 1e-6)).log().requires_grad_(True)
    solver = torch.optim.LBFGS(
        [weights, bias], max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights + bias, y, reduction="none")
        total = each.mean(0).sum() + PENALTY * (weights**2).sum()
        total.backward()
        return total

    solver.step(loss)
    return weights.detach().numpy(), bias.detach().numpy()


def save(head: Head, names: Sequence[str], path: Path = HEAD) -> None:
    np.savez_compressed(
        path,
        names=np.array(names),
        features=head.features.astype(np.float16),
        evidence=head.evidence.astype(np.float16),
        bias=head.bias,
    )


def read(names: Sequence[str], path: Path = HEAD) -> Head:
    """Raises ValueError where the file was fitted to other concepts than `names`."""
    with np.load(path) as file:
        if file["names"].tolist() != list(names):
            raise ValueError(f"{path}: fitted to other concepts; fit it again (the command `head`)")
        return Head(
            features=file["features"].astype(np.float32),
            evidence=file["evidence"].astype(np.float32),
            bias=file["bias"],
        )
