"""The entries of 廣韻 (1008): which character stands in which of the 206 rhymes.

Read from `index.js` of the npm package `qieyun` 0.13.5 (CC0-1.0), where a syllable (小韻) is one line:
three code characters, two of 反切, then its entries `character rhyme definition`, parted by `|`. The code's
first character gives the initial, its third the rounding (合口, the fourth bit).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789$_"
_SYLLABLE = re.compile(r"([\w$]{3})([^\w$]{2})([^\w$]+)", re.ASCII)
_LIPS = "ABCD"  # 幫滂並明: whether they are rounded is not said, and they rhyme with the rounded.


class NotGuangyun(ValueError):
    """A file that does not hold the entries in the form described above."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One character in one of the 206 rhymes.

    Attributes:
        character: as the book prints it.
        rhyme: the rhyme's name, one of 206, e.g. 東 董 送 屋.
        rounded: 合口, or with a lip initial.
    """

    character: str
    rhyme: str
    rounded: bool


def read(package: Path) -> list[Entry]:
    """All entries in the order of the package. Raises NotGuangyun."""
    source = (package / "index.js").read_text(encoding="utf-8").replace("\\\n", "")
    found = re.search("'([^'\n]*德紅東東[^'\n]*)'", source)
    if found is None:
        raise NotGuangyun(f"{package}/index.js holds no table that begins with 東")
    return list(parse(found.group(1)))


def parse(table: str) -> Iterator[Entry]:
    """The entries of a table of syllables without line ends."""
    for code, _, entries in _SYLLABLE.findall(table):
        bits = _CODE.index(code[2])
        for entry in entries.split("|"):
            yield Entry(entry[0], entry[1], bool(bits & 8) or code[0] in _LIPS)
