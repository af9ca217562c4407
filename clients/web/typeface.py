"""Makes the Kai typeface of the page and the card from LXGW WenKai.

npm pack @fontsource/lxgw-wenkai@5.3.0 && tar xzf fontsource-lxgw-wenkai-5.3.0.tgz
python -m web.typeface package/files/lxgw-wenkai-latin-500-normal.woff2    (with fonttools and brotli)

It holds what the poets and the keywords can write, and the page's own text, and nothing else. Points that
move an outline by less than a five-hundredth of the character's height are left out: nobody sees them go,
and the file is a sixth smaller. The licence of the original, SIL OFL 1.1, reserves no name; a changed
typeface is given one of its own all the same.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.ttLib.scaleUpem import scale_upem
from fontTools.ttLib.tables._g_l_y_f import Glyph, GlyphCoordinates, dropImpliedOnCurvePoints

CLIENTS = Path(__file__).resolve().parent.parent
ROOT = CLIENTS.parent
TARGET = CLIENTS / "image2poem" / "data" / "kai.woff2"
FAMILY = "Image2poem Kai"
MARKS = "\u3000，。、；：？！“”‘’（）《》〈〉「」·…—～○●◎△▲×→←↑↓%"
ASCII = set(map(chr, range(32, 127)))
UNITS_PER_EM = 500
TOLERANCE = 1.0
# What a file of characters set one by one has no use for.
IDLE_TABLES = ("BASE", "GDEF", "GSUB", "bsln", "prop", "vhea", "vmtx", "gasp")

Point = tuple[tuple[int, int], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="LXGW WenKai, any format that fonttools reads")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    font = smaller(TTFont(options.source), wanted_characters())
    font.flavor = "woff2"
    font.save(options.out)
    print(f"{options.out}: {len(font.getBestCmap())} characters, {options.out.stat().st_size:,} bytes")


def wanted_characters() -> set[str]:
    """Every character of the poets, the keywords and the page, and printable ASCII."""
    texts = [path.read_text(encoding="utf-8") for path in _sources()]
    return {letter for text in texts for letter in text if letter.isprintable()} | set(MARKS) | ASCII


def _sources() -> Iterable[Path]:
    yield from ROOT.glob("models/bundles/*/vocab.txt")
    yield ROOT / "index_builder" / "data" / "keywords.tsv"
    yield from (CLIENTS / "web" / "static").rglob("*.[hj][ts]*")


def smaller(font: TTFont, characters: Iterable[str]) -> TTFont:
    """The font with these characters alone, on a coarser grid, under its own name."""
    options = subset.Options(
        layout_features=[], hinting=False, glyph_names=False, notdef_outline=True, name_IDs=[0, 13, 14]
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=map(ord, characters))
    subsetter.subset(font)
    for table in IDLE_TABLES:
        if table in font:
            del font[table]
    scale_upem(font, UNITS_PER_EM)
    glyphs = font["glyf"]
    for name in font.getGlyphOrder():
        if glyphs[name].numberOfContours > 0:
            _simplify(glyphs[name])
            glyphs[name].recalcBounds(glyphs)
    for number, text in {1: FAMILY, 2: "Regular", 3: FAMILY, 4: FAMILY, 6: "Image2poem-Kai"}.items():
        font["name"].setName(text, number, 3, 1, 0x409)
    return font


def _simplify(glyph: Glyph) -> None:
    coordinates, flags, ends, first = [], bytearray(), [], 0
    for end in glyph.endPtsOfContours:
        points = [(tuple(glyph.coordinates[i]), glyph.flags[i] & 1) for i in range(first, end + 1)]
        for place, on_curve in simplified(points, TOLERANCE):
            coordinates.append(place)
            flags.append(on_curve)
        ends.append(len(coordinates) - 1)
        first = end + 1
    glyph.coordinates, glyph.flags, glyph.endPtsOfContours = GlyphCoordinates(coordinates), flags, ends
    dropImpliedOnCurvePoints(glyph)


def simplified(contour: list[Point], tolerance: float) -> list[Point]:
    """The closed contour of quadratic splines without points that hardly move it.

    A point goes where it lies within `tolerance` of the line between its neighbours and all three are of one
    kind. A lone control point moves its curve by half its distance, so it may lie twice as far off.
    """
    points, i = list(contour), 0
    while i < len(points) and len(points) > 4:
        (before, before_on), (here, on), (after, after_on) = (
            points[i - 1],
            points[i],
            points[(i + 1) % len(points)],
        )
        distance = _distance(here, before, after)
        alike = on == before_on == after_on
        lone_control = before_on and after_on and not on
        if distance <= (tolerance if alike else 2 * tolerance if lone_control else -1):
            del points[i]
        else:
            i += 1
    return points


def _distance(point: tuple[int, int], start: tuple[int, int], end: tuple[int, int]) -> float:
    """From the line between start and end; infinite beyond either of them."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = point[0] - start[0], point[1] - start[1]
    length = math.hypot(dx, dy)
    if not length:
        return math.hypot(x, y)
    if not 0 <= x * dx + y * dy <= length**2:
        return math.inf
    return abs(x * dy - y * dx) / length


if __name__ == "__main__":
    main()
