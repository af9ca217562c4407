"""Type for cards: characters of the Kai typeface, in columns and rows.

Every character is drawn once at one size and reduced: opening the typeface takes far longer than that.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

TYPEFACE = "kai.woff2"
# Pixels of an em as it is drawn; the largest character of a card at scale 2.
_EM = 192
Colour = tuple[int, int, int]


def column(
    page: Image.Image, text: str, *, right: float, top: float, size: float, pitch: float, ink: Colour
) -> None:
    """Write from top to bottom: the column's right edge, its top, an em and the way from one to the next."""
    for character in text:
        if not character.isspace():
            _ink(page, _glyph(character), (right - size, top), (size, size), ink)
        top += pitch * advance(character)


def advance(text: str) -> float:
    """Length of a column in the ways from one character to the next; a space takes half of one."""
    return sum(0.5 if character.isspace() else 1 for character in text)


def row(page: Image.Image, text: str, *, left: float, top: float, size: float, ink: Colour) -> None:
    """Write from left to right: left edge and top of an em."""
    if text.strip():
        _ink(page, _line(text), (left, top), (row_width(text, size), size), ink)


def row_width(text: str, size: float) -> float:
    """Pixels of a row of this size."""
    return _face().getlength(text) * size / _EM


def glyph_mask(character: str, size: int) -> Image.Image:
    """One character as a mask of size × size."""
    return _glyph(character).resize((size, size), Image.Resampling.LANCZOS)


def _ink(
    page: Image.Image,
    mask: Image.Image,
    corner: tuple[float, float],
    extent: tuple[float, float],
    ink: Colour,
) -> None:
    size = max(1, round(extent[0])), max(1, round(extent[1]))
    reduced = mask.resize(size, Image.Resampling.LANCZOS)
    page.paste(ink, (round(corner[0]), round(corner[1])), reduced)


@lru_cache(maxsize=1)
def _face() -> ImageFont.FreeTypeFont:
    data = files("image2poem").joinpath("data", TYPEFACE).read_bytes()
    return ImageFont.truetype(BytesIO(data), _EM, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=512)
def _glyph(character: str) -> Image.Image:
    mask = Image.new("L", (_EM, _EM))
    ImageDraw.Draw(mask).text((_EM / 2, _EM / 2), character, fill=255, font=_face(), anchor="mm")
    return mask


def _line(text: str) -> Image.Image:
    mask = Image.new("L", (max(1, round(_face().getlength(text))), _EM))
    ImageDraw.Draw(mask).text((0, _EM / 2), text, fill=255, font=_face(), anchor="lm")
    return mask
