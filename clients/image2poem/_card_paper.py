"""What a card is made of besides type: paper, the picture, a seal."""

from __future__ import annotations

import math
import random
from io import BytesIO

from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

from image2poem._card_type import Colour, glyph_mask
from image2poem.errors import InvalidImage

PAPER: Colour = (248, 243, 232)
VERMILION: Colour = (176, 42, 34)
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Relative to a seal's side.
_FINE = 4


def sheet(width: int, height: int) -> Image.Image:
    """Paper with a grain that is felt rather than seen, the same at each call."""
    half = width // 2 + 1, height // 2 + 1
    grain = Image.frombytes("L", half, random.Random(7).randbytes(half[0] * half[1]))
    fine = grain.filter(ImageFilter.GaussianBlur(0.8)).resize((width, height), Image.Resampling.BICUBIC)
    tint = fine.point(lambda value: min(max((value - 128) // 16, -4), 4) + 4)
    paper = Image.new("RGB", (width, height), tuple(value - 4 for value in PAPER))
    return ImageChops.add(paper, Image.merge("RGB", (tint, tint, tint)))


def opened(picture: bytes, largest: int) -> Image.Image:
    """The picture upright, in sRGB, on paper where it is transparent, perhaps reduced to sides of `largest`.

    Raises InvalidImage.
    """
    try:
        image: Image.Image = Image.open(BytesIO(picture), formats=_FORMATS)
        image.draft("RGB", (largest, largest))
        image = _in_srgb(ImageOps.exif_transpose(image))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidImage("picture: no image that can be drawn on a card") from error
    whole = image.convert("RGBA")
    ground = Image.new("RGBA", whole.size, PAPER)
    return Image.alpha_composite(ground, whole).convert("RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Telephones take pictures in wider spaces, which look dull when read as sRGB."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB")) or image
    except ImageCms.PyCMSError:
        return image


def seal(text: str, side: int) -> Image.Image:
    """A mask of a seal cut in intaglio: 1 … 9 characters stay paper; columns run from the right."""
    rows = math.ceil(math.sqrt(len(text))) if len(text) > 3 else len(text)
    columns = math.ceil(len(text) / rows)
    fine, margin = side * _FINE, side * _FINE // 9
    cell = (fine - 2 * margin) // max(rows, columns, 2)
    width, height = columns * cell + 2 * margin, rows * cell + 2 * margin
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), radius=margin * 0.8, fill=255)
    for place, character in enumerate(text):
        left = width - margin - (place // rows + 1) * cell
        carved = glyph_mask(character, round(cell * 0.98)).filter(ImageFilter.MaxFilter(_FINE + 1))
        mask.paste(0, (left, margin + place % rows * cell), carved)
    return _worn(mask).resize((width // _FINE, height // _FINE), Image.Resampling.LANCZOS)


def _worn(mask: Image.Image) -> Image.Image:
    """Edges as of stone, and specks that took no ink."""
    width, height = mask.size
    chance = random.Random(11)
    noise = Image.frombytes("L", (48, 48), chance.randbytes(48 * 48)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    soft = mask.filter(ImageFilter.GaussianBlur(_FINE * 0.9))
    rough = ImageChops.add(soft, noise.point(lambda value: (value - 128) // 3 + 43), offset=-43)
    stamped = rough.point(lambda value: 255 if value > 128 else 0)
    specks = noise.filter(ImageFilter.GaussianBlur(_FINE / 2)).point(lambda value: 0 if value > 226 else 255)
    return ImageChops.multiply(stamped, specks)
