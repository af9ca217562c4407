"""Where a Chinese-CLIP comes from: a folder or name of the Hugging Face hub, or a `.pt` of cn-clip."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import ChineseCLIPModel

from models.bundle import sha256_of
from models.training.chinese_clip.checkpoint import InvalidSource, model_of, read_weights
from models.training.chinese_clip.model import ChineseClip, picture_size
from models.wordpiece import read_vocabulary

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# The length that Chinese-CLIP was trained with, [CLS] and [SEP] counted.
LIMIT = 52
# PIL's number for bicubic, in the files of transformers.
_BICUBIC = 3
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# A name on the hub has at most an owner and a name; then it is downloaded.
_HUB_PARTS = 2


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model and all that its encoder bundle has to say of it.

    Attributes:
        image: the manifest's `image`.
        tokenizer: the manifest's `tokenizer`.
        vocabulary: `vocabulary[id]` is the token with that id.
        origin: where it came from, for the manifest.
    """

    model: ChineseClip
    image: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)


def open_source(source: str, *, vocabulary: Path | None = None) -> Source:
    """Read a model. Raises InvalidSource with what to do instead."""
    path = Path(source)
    if path.is_file():
        return _open_checkpoint(path, vocabulary)
    return _open_folder(path if path.is_dir() else _downloaded(source), vocabulary, source)


def _open_checkpoint(path: Path, vocabulary: Path | None) -> Source:
    model = model_of(read_weights(path))
    facts = {"size": picture_size(model), "mean": list(MEAN), "std": list(STD), "views": ["squash"]}
    return Source(
        model=model,
        image=facts,
        tokenizer=tokenizer_facts(longest_word=200, added=()),
        vocabulary=_checked(_tokens(vocabulary or _vocabulary_of_cn_clip()), model),
        origin={"file": path.name, "sha256": sha256_of(path)},
    )


def _open_folder(folder: Path, vocabulary: Path | None, source: str) -> Source:
    model = _pretrained(folder, source)
    return Source(
        model=model,
        image=_image_facts(folder, picture_size(model)),
        tokenizer=tokenizer_facts(
            longest_word=100, added=_SPECIAL, lower_case=_tokenizer_setting(folder, "do_lower_case", True)
        ),
        vocabulary=_checked(_tokens(vocabulary) if vocabulary else _tokens_of(folder), model),
        origin={"model": folder.name if Path(source).is_dir() else source},
    )


def _pretrained(folder: Path, source: str) -> ChineseCLIPModel:
    try:
        loaded: Any = ChineseCLIPModel.from_pretrained(folder, dtype="float32", output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidSource(f"{source}: not a Chinese-CLIP of transformers: {error}") from error
    model, found = loaded
    if found["missing_keys"]:
        raise InvalidSource(f"{source}: not a Chinese-CLIP, it lacks {sorted(found['missing_keys'])[:3]}")
    return model.eval()


def tokenizer_facts(
    *, longest_word: int, added: tuple[str, ...], lower_case: bool = True, limit: int = LIMIT
) -> dict[str, Any]:
    """The manifest's `tokenizer` (models.wordpiece)."""
    return {
        "type": "wordpiece",
        "vocabulary": "vocab.txt",
        "limit": limit,
        "longest_word": longest_word,
        "lower_case": lower_case,
        "added": list(added),
    }


def _image_facts(folder: Path, size: int) -> dict[str, Any]:
    """What `preprocessor_config.json` says, in a bundle's words. Raises InvalidSource where they lack one."""
    facts: dict[str, Any] = {"do_center_crop": False, "size": {"height": size, "width": size}}
    facts |= _json(folder / "preprocessor_config.json") or _json(folder / "processor_config.json").get(
        "image_processor", {}
    )
    resized = facts["size"]
    sides = {resized} if isinstance(resized, int) else set(resized.values())
    cropped = facts["do_center_crop"]
    squashed = isinstance(resized, dict) and "height" in resized
    if sides != {size} or cropped == squashed or facts.get("resample", _BICUBIC) != _BICUBIC:
        raise InvalidSource(f"{folder}: pictures are prepared in a way that no bundle describes: {facts}")
    return {
        "size": size,
        "mean": list(facts.get("image_mean", MEAN)),
        "std": list(facts.get("image_std", STD)),
        "views": ["crop" if cropped else "squash"],
    }


def _tokenizer_setting(folder: Path, name: str, default: bool) -> bool:
    return bool(_json(folder / "tokenizer_config.json").get(name, default))


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if len(Path(name).parts) > _HUB_PARTS or Path(name).suffix == ".pt":
        raise InvalidSource(f"{name}: no such file or folder")
    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors", "*.bin"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InvalidSource(
            f"{name}: neither a file nor a folder, and the hub does not give it: {error}. Download the model "
            "elsewhere and give its folder"
        ) from error


def _vocabulary_of_cn_clip() -> Path:
    """`vocab.txt` of the installed package, which is not imported: it would need torchvision."""
    package = importlib.util.find_spec("cn_clip")
    if package is None or not package.submodule_search_locations:
        raise InvalidSource(
            "a .pt holds no vocabulary: give --vocabulary vocab.txt (it lies beside each model on the hub of "
            "Hugging Face, and in the package cn-clip: pip install --no-deps cn-clip)"
        )
    return Path(package.submodule_search_locations[0]) / "clip" / "vocab.txt"


def _tokens_of(folder: Path) -> tuple[str, ...]:
    """The vocabulary of a folder; transformers since version 5 writes it into `tokenizer.json` alone."""
    content = _json(folder / "tokenizer.json").get("model", {}).get("vocab")
    if (folder / "vocab.txt").is_file() or not isinstance(content, dict):
        return _tokens(folder / "vocab.txt")
    return tuple(sorted(content, key=content.__getitem__))


def _tokens(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise InvalidSource(f"{path}: no vocabulary there; give --vocabulary vocab.txt")
    return tuple(read_vocabulary(path))


def _checked(tokens: tuple[str, ...], model: ChineseClip) -> tuple[str, ...]:
    expected = model.text_model.config.vocab_size
    if len(tokens) != expected:
        raise InvalidSource(f"the vocabulary has {len(tokens):,} tokens, but the model {expected:,}")
    return tokens
