"""Chinese-CLIP at full size (ViT-B/16, random weights), and what comes before it: the picture's pixels."""

from __future__ import annotations

import functools
import io
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.process import PICTURES, ROOT
from benchmarks.result import Benchmark, Result, describe, timed
from index_builder.keywords import read_keywords
from models.clip import Encoder
from models.image import ImageSpec, decode_image, to_pixels
from models.session import open_session

if TYPE_CHECKING:
    import torch

    from models.training.chinese_clip.sources import Source

_KEYWORDS = 6_800
# What the original script padded every keyword to.
PADDED = 52
_SAMPLE = 40
_BATCHES = (1, 16)
VOCABULARY = 21_128


@functools.cache
def source() -> Source:
    """ViT-B/16 beside a BERT of twelve layers, as published but for its weights."""
    import torch
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    from models.training.chinese_clip.sources import MEAN, STD, Source, tokenizer_facts

    torch.manual_seed(0)
    config = ChineseCLIPConfig(
        text_config={"vocab_size": VOCABULARY}, vision_config={"patch_size": 16}, projection_dim=512
    )
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(0x4E00, 0x9FA6))]
    tokens += [f"[unused{place}]" for place in range(VOCABULARY - len(tokens))]
    return Source(
        model=ChineseCLIPModel(config).eval(),
        image={"size": 224, "mean": list(MEAN), "std": list(STD), "views": ["squash"]},
        tokenizer=tokenizer_facts(longest_word=100, added=()),
        vocabulary=tuple(tokens),
    )


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Where the bundles lie until the process ends."""
    return tempfile.TemporaryDirectory(prefix="image2poem-clip-")


@functools.cache
def bundle(precision: str) -> Path:
    """Its bundle, exported once; the parity with PyTorch is checked and printed on the way."""
    from models.training.export_clip import write_encoder

    written = write_encoder(source(), Path(_folder().name) / precision, name=precision, precision=precision)
    print(f"  parity of {precision}: {written.manifest['parity']}", flush=True)
    return written.path


@functools.cache
def _encoder(precision: str) -> Encoder:
    from models.bundle import open_bundle

    return Encoder.open(open_bundle(bundle(precision), kind="encoder"))


def clip_image(precision: str) -> Result:
    """Pixels to unit vectors at batch 1 and 16, by `Encoder` and by eager PyTorch with the same weights."""
    import torch

    from models.training.chinese_clip.model import image_features

    encoder = _encoder(precision)
    model = source().model
    pixels = np.random.default_rng(0).standard_normal((max(_BATCHES), 3, 224, 224), dtype=np.float32)

    def ours(batch: int) -> Callable[[], object]:
        return lambda: encoder.encode_pixels(pixels[:batch])

    def theirs(batch: int) -> Callable[[], object]:
        return lambda: image_features(model, torch.from_numpy(pixels[:batch]))

    with torch.inference_mode():
        return _versus(precision, ours, theirs)


def clip_text() -> Result:
    """Eight tokens a text to unit vectors at batch 1 and 16, in int8, against eager PyTorch."""
    import torch

    from models.training.chinese_clip.model import text_features

    session = open_session(bundle("int8") / "text.onnx")
    model = source().model
    ids = np.random.default_rng(0).integers(4, VOCABULARY, (max(_BATCHES), 8))
    mask = np.ones_like(ids)

    def ours(batch: int) -> Callable[[], object]:
        return lambda: session.run(None, {"ids": ids[:batch], "mask": mask[:batch]})

    def theirs(batch: int) -> Callable[[], object]:
        return lambda: text_features(model, torch.from_numpy(ids[:batch]), torch.from_numpy(mask[:batch]))

    with torch.inference_mode():
        return _versus("int8", ours, theirs)


def _versus(
    precision: str,
    ours: Callable[[int], Callable[[], object]],
    theirs: Callable[[int], Callable[[], object]],
) -> Result:
    """The time at batch 1, and the lesser of the ratios; both sides by turns, as the machine changes."""
    ratios, alone = [], 0.0
    for batch in _BATCHES:
        turns = 30 if batch == 1 else 5
        sides: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns):
            warm = 2 if turn == 0 else 0
            for side, function in zip(sides, (ours(batch), theirs(batch)), strict=True):
                side += timed(function, repeat=1, warm=warm)
        mine = describe(f"ONNX Runtime {precision}, batch {batch}", sides[0])
        ratios.append(describe(f"PyTorch, batch {batch}", sides[1]) / mine)
        alone = alone or mine
    print(f"  ratios: {', '.join(f'{ratio:.2f}' for ratio in ratios)}", flush=True)
    against = "eager PyTorch, same weights; the lesser of batch 1 and 16"
    return Result(value=alone, unit="ms", ratio=min(ratios), against=against)


def keyword_encode() -> Result:
    """6,800 keywords to vectors, in int8 and batches of like length, against one call each in PyTorch."""
    import torch

    words = _keywords()
    encoder = _encoder("int8")
    encoder.encode_texts(words[:64])
    times = timed(lambda: encoder.encode_texts(words), repeat=2, warm=0)
    ours = describe("ours, all of them", times)
    with torch.inference_mode():
        call = _call_per_keyword()
        theirs = statistics.median(timed(call, repeat=_SAMPLE)) * len(words)
    print(f"  PyTorch, {theirs / len(words):.1f} ms each: {theirs / 1000:.0f} s", flush=True)
    return Result(value=ours / 1000, unit="s", ratio=theirs / ours, against="one call a keyword in PyTorch")


def _call_per_keyword() -> Callable[[], torch.Tensor]:
    """The text tower on one keyword of three characters, padded as the original script padded it."""
    import torch

    from models.training.chinese_clip.model import text_features

    model = source().model
    ids = torch.zeros(1, PADDED, dtype=torch.int64)
    ids[0, :5] = torch.tensor([2, 900, 1_900, 2_900, 3])
    return lambda: text_features(model, ids, (ids != 0).long())


def _keywords() -> list[str]:
    """The shipped list, filled up to 6,800 with pairs out of it."""
    words = list(read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv", all_words=True).words)
    rng = np.random.default_rng(0)
    seen = set(words)
    while len(words) < _KEYWORDS:
        pair = "".join(rng.choice(words, 2))
        if pair not in seen:
            seen.add(pair)
            words.append(pair)
    return words[:_KEYWORDS]


def picture_decode() -> Result:
    """A JPEG of 12 megapixels to the pixels of a picture of 224×224, against decoding all of it."""
    picture = _photograph()
    print(f"  {len(picture) / 1e6:.1f} MB", flush=True)
    spec = ImageSpec(size=224, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))

    def ours() -> np.ndarray:
        return to_pixels(decode_image(picture, draft=spec.size), spec)

    def theirs() -> np.ndarray:
        return to_pixels(decode_image(picture), spec)

    print(f"  mean difference {np.abs(ours() - theirs()).mean():.4f} standard deviations", flush=True)
    mine = describe("draft mode", timed(ours, repeat=20))
    plain = describe("every pixel decoded", timed(theirs, repeat=5))
    return Result(value=mine, unit="ms", ratio=plain / mine, against="decoding every pixel; at most 40 ms")


def _photograph() -> bytes:
    """4000×3000 with the grain of a camera's sensor: as large a file as a telephone makes."""
    with Image.open(PICTURES / "pavilion.jpg") as small:
        large = small.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 3, (3000, 4000, 1))
    values = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "JPEG", quality=90)
    return out.getvalue()


BENCHMARKS: dict[str, Benchmark] = {
    "clip-image-fp32": lambda: clip_image("fp32"),
    "clip-image-int8": lambda: clip_image("int8"),
    "clip-text": clip_text,
    "keyword-encode": keyword_encode,
    "picture-decode": picture_decode,
}
