"""The image tower of Chinese-CLIP RN50: CLIP's variation on ResNet (arXiv 2103.00020, section 2.4).

A stem of three convolutions, strides as average pooling (so that no pixel is skipped), and attention in place
of the last pooling. Parameters bear the names of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

_EXPANSION = 4
HEAD_WIDTH = 64
# How much smaller than the picture the last features are, in each direction.
REDUCTION = 32


class ModifiedResNet(nn.Module):
    """float32 (N, 3, size, size) → (N, D), of any length.

    Args:
        blocks: bottleneck blocks of each of the four stages.
        width: channels behind the stem.
        size: side of a picture in pixels, a multiple of 32.
        dimension: D.
    """

    def __init__(self, *, blocks: Sequence[int], width: int, size: int, dimension: int) -> None:
        super().__init__()
        self.size = size
        self.conv1, self.bn1 = _convolution(3, width // 2, 3, stride=2), nn.BatchNorm2d(width // 2)
        self.conv2, self.bn2 = _convolution(width // 2, width // 2, 3), nn.BatchNorm2d(width // 2)
        self.conv3, self.bn3 = _convolution(width // 2, width, 3), nn.BatchNorm2d(width)
        stages = []
        channels = width
        for place, count in enumerate(blocks):
            inner = width * 2**place
            strides = [1 if place == 0 else 2] + [1] * (count - 1)
            stage = []
            for stride in strides:
                stage.append(Bottleneck(channels, inner, stride))
                channels = inner * _EXPANSION
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.attnpool = AttentionPool(channels, tokens=(size // REDUCTION) ** 2 + 1, dimension=dimension)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(pixels)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.relu(self.bn3(self.conv3(x)))
        x = nn.functional.avg_pool2d(x, 2)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.attnpool(x)


class Bottleneck(nn.Module):
    """Convolutions 1×1, 3×3, 1×1 beside a shortcut; a stride is average pooling behind the second."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        outer = inner * _EXPANSION
        self.conv1, self.bn1 = _convolution(channels, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = _convolution(inner, inner, 3), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = _convolution(inner, outer, 1), nn.BatchNorm2d(outer)
        self.stride = stride
        self.downsample = None
        if stride > 1 or channels != outer:
            self.downsample = nn.Sequential(_convolution(channels, outer, 1), nn.BatchNorm2d(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self._pooled(y)))
        if self.downsample is not None:
            x = self.downsample(self._pooled(x))
        return torch.relu(x + y)

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, self.stride) if self.stride > 1 else x


class AttentionPool(nn.Module):
    """Attention of the mean feature to all features and to itself: (N, C, h, w) → (N, D)."""

    def __init__(self, channels: int, *, tokens: int, dimension: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_WIDTH
        self.positional_embedding = nn.Parameter(torch.randn(tokens, channels) / channels**0.5)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, dimension)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x.flatten(2).transpose(1, 2)
        features = torch.cat([features.mean(1, keepdim=True), features], dim=1) + self.positional_embedding
        queries, keys, values = (
            projection(part).unflatten(-1, (self.heads, HEAD_WIDTH)).transpose(1, 2)
            for projection, part in (
                (self.q_proj, features[:, :1]),
                (self.k_proj, features),
                (self.v_proj, features),
            )
        )
        shares = (queries @ keys.transpose(2, 3) * HEAD_WIDTH**-0.5).softmax(-1)
        return self.c_proj((shares @ values).transpose(1, 2).flatten(2)[:, 0])


def _convolution(channels: int, outer: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, outer, kernel, stride=stride, padding=kernel // 2, bias=False)
