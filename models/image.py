"""Picture bytes from anybody → RGB image → the float32 pixels that an image encoder reads.

Formats are opened by a fixed table of signatures and classes, not by `Image.open`: what is accepted, and
how large, then does not depend on what another part of the process registered with Pillow or set as its
`MAX_IMAGE_PIXELS`. (Pillow's classes for WebP and TIFF look at the latter all the same; its default is far
above ours.) The size is read from the header and refused before a pixel is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_PIXELS = 50_000_000

_SIGNATURES: tuple[tuple[bytes, Callable[..., ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class InvalidImage(ValueError):
    """Bytes that are no picture, or none that is read here. The message is for the caller."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """How an encoder wants its pixels: the manifest's `image`.

    Attributes:
        size: side of a view in pixels.
        mean, std: per channel, of values from 0 to 1.
        views: any of `squash` (the whole picture, its proportions given up), `crop` (the middle square, as
            CLIP's processors cut it), `start` and `end` (the squares at both ends of the longer side).
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    views: tuple[str, ...] = ("squash",)

    @classmethod
    def from_manifest(cls, facts: Mapping[str, Any]) -> ImageSpec:
        """Raises KeyError where a field is missing, ValueError where a view is unknown."""
        unknown = set(facts["views"]) - set(_VIEWS)
        if unknown:
            raise ValueError(f"unknown views {sorted(unknown)}; choose from {', '.join(_VIEWS)}")
        return cls(
            size=int(facts["size"]),
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            views=tuple(facts["views"]),
        )


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS, draft: int | None = None) -> Image.Image:
    """Decode a JPEG, PNG, WebP, GIF, BMP or TIFF file.

    The result is RGB and upright (EXIF); of an animation or of many pages it is the first; what is
    transparent turns white; 16-bit and CMYK pictures keep their tones.

    Args:
        data: the file's bytes.
        max_pixels: pictures of more pixels are refused by their header.
        draft: a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as both sides
            keep this many pixels. None decodes every pixel.

    Raises InvalidImage.
    """
    if not data:
        raise InvalidImage("the picture is empty")
    try:
        image = _open(data, max_pixels)
        if draft is not None:
            image.draft("RGB", (draft, draft))
        image.load()
        return _upright(_rgb(image), _orientation(image))
    except InvalidImage:
        raise
    except Exception as error:
        # Pillow answers broken files with a dozen exception types, from struct.error to MemoryError.
        raise InvalidImage("the picture is damaged or cut short and cannot be decoded") from error


def to_pixels(image: Image.Image, spec: ImageSpec) -> np.ndarray:
    """float32 (3, V · size, size): the V views of an RGB image, one below the other, normalised."""
    side = (spec.size, spec.size)
    boxes = (_VIEWS[view](*image.size, spec.size) for view in spec.views)
    views = [np.asarray(image.resize(side, Image.Resampling.BICUBIC, box=box)) for box in boxes]
    pixels = np.concatenate(views).transpose(2, 0, 1).astype(np.float32, order="C")
    std = np.asarray(spec.std, np.float32)[:, None, None]
    pixels *= 1 / (255 * std)
    pixels -= np.asarray(spec.mean, np.float32)[:, None, None] / std
    return pixels


def _squash(width: int, height: int, _: int) -> tuple[float, float, float, float]:
    return 0, 0, width, height


def _crop(width: int, height: int, size: int) -> tuple[float, float, float, float]:
    """CLIP resizes the shorter side to `size`, then cuts out whole pixels: the same square, in one step."""
    short = min(width, height)
    wide, high = int(size * width / short), int(size * height / short)
    left, top = (wide - size) // 2, (high - size) // 2
    right, bottom = (left + size) * width / wide, (top + size) * height / high
    return left * width / wide, top * height / high, min(right, width), min(bottom, height)


def _start(width: int, height: int, _: int) -> tuple[float, float, float, float]:
    side = min(width, height)
    return 0, 0, side, side


def _end(width: int, height: int, _: int) -> tuple[float, float, float, float]:
    side = min(width, height)
    return width - side, height - side, width, height


_VIEWS = {"squash": _squash, "crop": _crop, "start": _start, "end": _end}


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        # Opening a WebP file already allocates its canvas.
        _check_size(_webp_size(data), max_pixels)
        return WebPImageFile(io.BytesIO(data))
    for signature, opener in _SIGNATURES:
        if data.startswith(signature):
            image = opener(io.BytesIO(data))
            _check_size(image.size, max_pixels)
            return image
    raise InvalidImage("not a picture in one of the formats JPEG, PNG, WebP, GIF, BMP and TIFF")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InvalidImage(f"the picture has {width}×{height} pixels; at most {max_pixels:,} are accepted")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header of the first chunk (RFC 9649)."""
    kind, head = data[12:16], data[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greyscale of 16 or 32 bits: `convert` would clip it at 255."""
    values = np.asarray(image).astype(np.float32)
    if image.mode == "F" or values.max() > 0xFFFF or values.min() < 0:
        low = values.min()
        values = (values - low) * (0xFFFF / max(float(values.max() - low), 1e-12))
    elif image.mode == "I" and values.max() <= 0xFF:
        values *= 0x101
    return Image.fromarray((values / 0x101).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged metadata of any kind leave the picture as it is.
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
