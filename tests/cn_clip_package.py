"""The package cn-clip, where it is installed; its transforms need torchvision, its models do not."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# transformers asks for torchvision as it is imported, and must find the truth: it comes first.
import transformers.models.chinese_clip.modeling_chinese_clip  # noqa: F401

_NAMES = ("Compose", "ToTensor", "Normalize", "Resize", "InterpolationMode")


def cn_clip(module: str) -> Any:
    """A module of cn-clip; the test is skipped where the package is not installed."""
    if importlib.util.find_spec("cn_clip") is None:
        pytest.skip("cn-clip is not installed: pip install --no-deps cn-clip six")
    with _torchvision():
        return importlib.import_module(f"cn_clip.{module}")


@contextmanager
def _torchvision() -> Iterator[None]:
    """An empty torchvision, where there is none."""
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    package, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    for name in _NAMES:
        setattr(transforms, name, type(name, (), {"BICUBIC": 3}))
    sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}
    try:
        yield
    finally:
        del sys.modules["torchvision"], sys.modules["torchvision.transforms"]
