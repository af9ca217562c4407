"""Rhyme books (韵书): which tone a character has, and what it rhymes with.

Four books, each a table of this package compiled by `models.training.rhyme_books` (sources and licences in
`data/README.md`): 平水韵, by which regulated verse is judged; 词林正韵, for ci; 中华新韵 and 中华通韵, by
the sounds of modern Mandarin. Simplified and traditional characters both stand in the tables.

A line of a table is `division<TAB>group<TAB>characters`; the division says the tone (平 in its name:
level). A character with several readings is followed in each place by that reading's share of its uses, in
thousandths.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from models.prosody.patterns import Tone

RHYME_BOOKS = {"pingshui": "平水韵", "cilin": "词林正韵", "xinyun": "中华新韵", "tongyun": "中华通韵"}
_DATA = Path(__file__).parent / "data"
_SHARED = re.compile(r"(\D)(\d+)")
_NUMBERED = re.compile("第?[一二三四五六七八九十]+")
# The names of the level groups that people type in traditional characters.
_SIMPLIFIED = str.maketrans(
    "東魚虞齊眞寒刪蕭陽鹽鵝烏熬歐兒開豪庚聲", "东鱼虞齐真寒删萧阳盐鹅乌熬欧儿开豪庚声"
)


_Place = tuple[Tone, str, int]  # tone, group, share in thousandths


class UnknownRhymeBook(ValueError):
    """A rhyme book that is none of `RHYME_BOOKS`."""


class UnknownRhymeGroup(ValueError):
    """A rhyme that is no level group of the book."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One way to read a character.

    Attributes:
        tone: LEVEL or OBLIQUE.
        group: what it rhymes with, e.g. 十一尤 (平水韵), 第一部 (词林正韵), 一麻 (新韵), 一啊 (通韵).
        prior: its share of the character's uses in regulated verse, in (0, 1]; a character's readings
            add up to 1.
    """

    tone: Tone
    group: str
    prior: float


class RhymeBook:
    """A rhyme book, opened with `rhyme_book`. Immutable; safe to share between threads.

    Attributes:
        name: one of `RHYME_BOOKS`.
        chinese: what readers call it, e.g. 平水韵.
        level_groups: the groups of level tone, which a regulated poem may rhyme in, in the book's order.
    """

    def __init__(self, name: str, table: str, neighbours: Iterable[frozenset[str]] = ()) -> None:
        """`table` as described above; `neighbours` are sets of level groups that may stand for each other."""
        self.name = name
        self.chinese = RHYME_BOOKS[name]
        self._neighbours = tuple(neighbours)
        self._divisions: dict[str, str] = {}  # level group → division
        self._level: dict[str, str] = defaultdict(str)  # level group → characters
        self._places: dict[str, tuple[_Place, ...]] = {}
        for line in table.splitlines():
            if line and not line.startswith("#"):
                self._add(*line.split("\t"))
        self.level_groups = tuple(self._divisions)

    def _add(self, division: str, group: str, characters: str) -> None:
        tone = Tone.LEVEL if "平" in division else Tone.OBLIQUE
        places = self._places
        # Most characters have one reading: they are entered all at once, for the sake of a quick start.
        places.update(dict.fromkeys(_SHARED.sub("", characters), ((tone, group, 1000),)))
        for character, share in _SHARED.findall(characters):
            places[character] = (*places.get(character, ()), (tone, group, int(share)))
        if tone is Tone.LEVEL:
            self._divisions[group] = division
            self._level[group] += _SHARED.sub(r"\1", characters)

    def readings(self, character: str) -> tuple[Reading, ...]:
        """The readings of one character, simplified or traditional, likeliest first; () where it has none."""
        places = sorted(self._places.get(character, ()), key=lambda place: -place[2])
        return tuple(Reading(tone=tone, group=group, prior=share / 1000) for tone, group, share in places)

    def tone_of(self, character: str) -> Tone | None:
        """The likelier tone of a character by its readings' priors; None where the book lacks it."""
        places = self._places.get(character)
        if not places:
            return None
        level = sum(share for tone, _, share in places if tone is Tone.LEVEL)
        return Tone.LEVEL if level >= 500 else Tone.OBLIQUE

    def group_named(self, name: str) -> str:
        """The level group called `name`: 十一尤, 尤 or 下平十一尤, also in traditional characters.

        Raises UnknownRhymeGroup, whose message lists the choices.
        """
        wanted = name.strip().translate(_SIMPLIFIED)
        if wanted not in self._names:
            choices = " ".join(self.level_groups)
            raise UnknownRhymeGroup(f"{self.chinese} has no level rhyme {name!r}; choose one of {choices}")
        return self._names[wanted]

    @cached_property
    def _names(self) -> dict[str, str]:
        short = Counter(map(_short, self._divisions))
        names = {name: group for group in self._divisions if short[name := _short(group)] == 1}
        for group, division in self._divisions.items():
            names |= {group: group, division + group: group, division[:2] + "声" + group: group}
        return names

    def neighbours(self, group: str) -> frozenset[str]:
        """The level groups (邻韵) that line 1 may borrow its rhyme from in a poem that rhymes in `group`."""
        sets = [groups for groups in self._neighbours if group in groups]
        return frozenset().union(*sets) - {group}

    def characters(self, group: str) -> str:
        """The characters of a level group, the common ones first. Raises UnknownRhymeGroup."""
        return self._level[self.group_named(group)]


def _short(group: str) -> str:
    """A group's name without its number, e.g. 尤 for 十一尤."""
    return _NUMBERED.sub("", group, count=1)


# 平水韵: the level groups, or parts of them, that one 部 of 词林正韵 unites.
_NEIGHBOURS = tuple(
    frozenset(groups.split())
    for groups in (
        "一东 二冬",
        "三江 七阳",
        "四支 五微 八齐 十灰",
        "六鱼 七虞",
        "九佳 十灰",
        "十一真 十二文 十三元",
        "十三元 十四寒 十五删 一先",
        "二萧 三肴 四豪",
        "九佳 六麻",
        "八庚 九青 十蒸",
        "十三覃 十四盐 十五咸",
    )
)


@cache
def rhyme_book(name: str) -> RhymeBook:
    """The book with that stable or Chinese name, e.g. `pingshui` or 平水韵. Raises UnknownRhymeBook."""
    for stable, chinese in RHYME_BOOKS.items():
        if name == stable:
            table = (_DATA / f"{name}.tsv").read_text(encoding="utf-8")
            return RhymeBook(name, table, _NEIGHBOURS if name == "pingshui" else ())
        if name == chinese:
            return rhyme_book(stable)
    choices = ", ".join(f"{stable} ({chinese})" for stable, chinese in RHYME_BOOKS.items())
    raise UnknownRhymeBook(f"unknown rhyme book {name!r}; choose one of {choices}")
