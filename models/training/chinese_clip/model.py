"""A Chinese-CLIP in PyTorch, whatever its image tower: a ViT is transformers' own model, RN50 is ours."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn
from transformers import ChineseCLIPModel, ChineseCLIPTextConfig
from transformers.models.chinese_clip.modeling_chinese_clip import ChineseCLIPTextModel

from models.training.chinese_clip.resnet import ModifiedResNet


class ResNetClip(nn.Module):
    """Chinese-CLIP with a ResNet: the parts of `ChineseCLIPModel` under the same names, but for `visual`."""

    def __init__(self, visual: ModifiedResNet, text: ChineseCLIPTextConfig, *, dimension: int) -> None:
        super().__init__()
        self.visual = visual
        self.text_model = ChineseCLIPTextModel(text, add_pooling_layer=False)
        self.text_projection = nn.Linear(text.hidden_size, dimension, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))


ChineseClip: TypeAlias = ChineseCLIPModel | ResNetClip


def image_features(model: ChineseClip, pixels: torch.Tensor) -> torch.Tensor:
    """float32 (N, 3, size, size) → (N, D), unit rows; gradients flow."""
    if isinstance(model, ResNetClip):
        features = model.visual(pixels)
    else:
        features = model.get_image_features(pixel_values=pixels).pooler_output
    return nn.functional.normalize(features, dim=-1)


def text_features(model: ChineseClip, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """int64 (N, T) twice → (N, D), unit rows; gradients flow."""
    hidden = model.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
    return nn.functional.normalize(model.text_projection(hidden[:, 0]), dim=-1)


def dimension_of(model: ChineseClip) -> int:
    """D, the length of every vector."""
    return model.text_projection.out_features


def picture_size(model: ChineseClip) -> int:
    """Side in pixels of the pictures that the model reads."""
    if isinstance(model, ResNetClip):
        return model.visual.size
    return model.config.vision_config.image_size
