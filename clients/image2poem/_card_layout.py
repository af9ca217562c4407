"""How a card is laid out: the picture above the poem, or at its left where it is upright; both on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw

from image2poem._card_paper import VERMILION, opened, seal, sheet
from image2poem._card_type import Colour, advance, column, row, row_width

INK: Colour = (33, 28, 26)
QUIET: Colour = (128, 116, 102)
HAIRLINE: Colour = (209, 198, 178)
# Pixels at scale 1. An upright picture is this high, a broad one this wide.
_HIGH, _WIDE = 1080, 1080
_MARGIN, _GAP = 96, 84
_BROAD = 1.2


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is written on a card; `heading` and `keywords` in columns, `footer` in a row."""

    poem: Sequence[str]
    heading: Sequence[str]
    keywords: Sequence[str]
    footer: str
    seal: str


class Block:
    """The columns from right to left: heading, poem, keywords with the seal below. Lengths in pixels."""

    def __init__(self, writing: Writing, em: float) -> None:
        self._writing = writing
        self._em, self._pitch = em, em * 1.2
        self._between = em * (0.8 if len(writing.poem) <= 4 else 0.66)
        self._heading, self._small = em * 0.46, em * 0.38
        self._seal = seal(writing.seal, round(em * 1.3)) if writing.seal else None
        self._last = self._seal.width if self._seal else self._small
        self.height = (max(map(len, writing.poem)) - 1) * self._pitch + em
        lines = len(writing.poem)
        heading = self._heading + em * 0.95 if writing.heading else 0.0
        self.width = heading + lines * em + (lines - 1) * self._between + em * 0.95 + self._last

    def draw(self, page: Image.Image, left: float, top: float) -> None:
        right = left + self.width
        if self._writing.heading:
            self._draw_heading(page, right, top)
            right -= self._heading + self._em * 0.95
        for line in self._writing.poem:
            column(page, line, right=right, top=top, size=self._em, pitch=self._pitch, ink=INK)
            right -= self._em + self._between
        self._draw_signature(page, left + self._last / 2, top)

    def _draw_heading(self, page: Image.Image, right: float, top: float) -> None:
        size, pitch = self._heading, self._heading * 1.3
        top += self._em * 0.08
        for place, part in enumerate(self._writing.heading):
            ink = INK if place == 0 else QUIET
            column(page, part, right=right, top=top, size=size, pitch=pitch, ink=ink)
            top += advance(part) * pitch + size * 0.7

    def _draw_signature(self, page: Image.Image, middle: float, top: float) -> None:
        """As many keywords as there is room for, and the seal at the foot."""
        bottom = top + self.height
        if self._seal is not None:
            corner = round(middle - self._seal.width / 2), round(bottom - self._seal.height)
            page.paste(VERMILION, corner, self._seal)
            bottom -= self._seal.height + self._small
        size, pitch = self._small, self._small * 1.28
        place = top + self._em * 0.1
        for keyword in self._writing.keywords:
            if place + len(keyword) * pitch > bottom:
                return
            column(page, keyword, right=middle + size / 2, top=place, size=size, pitch=pitch, ink=QUIET)
            place += len(keyword) * pitch + size * 0.6


def lay_out(writing: Writing, picture: bytes | None, scale: float) -> bytes:
    """A PNG. Raises InvalidImage."""
    if picture is None:
        page = _alone(writing, scale)
    else:
        image = opened(picture, round(_HIGH * scale))
        broad = image.width / image.height > _BROAD
        page = (_above if broad else _beside)(writing, image, scale)
    file = BytesIO()
    page.save(file, "PNG", compress_level=4, dpi=(144 * scale, 144 * scale))
    return file.getvalue()


def _alone(writing: Writing, scale: float) -> Image.Image:
    block = Block(writing, 84 * scale)
    margin = 2 * _MARGIN * scale
    page = sheet(round(block.width + 2 * margin), round(block.height + 2 * margin))
    block.draw(page, margin, margin)
    _footer(page, writing.footer, page.width / 2, page.height - margin / 4, scale)
    return page


def _above(writing: Writing, image: Image.Image, scale: float) -> Image.Image:
    margin, gap, wide = _MARGIN * scale, _GAP * scale, _WIDE * scale
    high = wide * image.height / image.width
    em = scale * (66 if len(writing.poem) <= 4 else 58)
    block = Block(writing, em * min(1.0, wide / Block(writing, em).width))
    page = sheet(round(wide + 2 * margin), round(margin + high + gap + block.height + gap + margin * 0.6))
    _mount(page, image, (margin, margin), (wide, high), scale)
    block.draw(page, margin + (wide - block.width) / 2, margin + high + gap)
    _footer(page, writing.footer, page.width / 2, page.height - margin / 2, scale)
    return page


def _beside(writing: Writing, image: Image.Image, scale: float) -> Image.Image:
    margin, gap, high = _MARGIN * scale, _GAP * scale, _HIGH * scale
    wide = high * image.width / image.height
    # A column takes most of the picture's height, unless its characters would be too large for the picture.
    ways = 1.2 * (max(map(len, writing.poem)) - 1) + 1
    block = Block(writing, min(0.64 * high / ways, high / (11 if len(writing.poem) <= 4 else 15)))
    page = sheet(round(margin + wide + gap * 1.2 + block.width + margin * 1.2), round(high + 2 * margin))
    _mount(page, image, (margin, margin), (wide, high), scale)
    left = margin + wide + gap * 1.2
    block.draw(page, left, margin + (high - block.height) / 2)
    _footer(page, writing.footer, left + block.width / 2, margin + high - gap / 4, scale)
    return page


def _mount(
    page: Image.Image,
    image: Image.Image,
    corner: tuple[float, float],
    extent: tuple[float, float],
    scale: float,
) -> None:
    left, top = round(corner[0]), round(corner[1])
    size = max(1, round(extent[0])), max(1, round(extent[1]))
    page.paste(image.resize(size, Image.Resampling.LANCZOS), (left, top))
    line = max(1, round(scale))
    edge = (left - line, top - line, left + size[0] + line - 1, top + size[1] + line - 1)
    ImageDraw.Draw(page).rectangle(edge, outline=HAIRLINE, width=line)


def _footer(page: Image.Image, text: str, middle: float, line: float, scale: float) -> None:
    """A row in small type, centred on a point."""
    size = 21 * scale
    row(page, text, left=middle - row_width(text, size) / 2, top=line - size / 2, size=size, ink=QUIET)
