"""中华新韵 (2005, 14 groups) and 中华通韵 (2019, 16 groups): the finals and tones of modern Mandarin.

The readings are those of PyPI `pypinyin` (MIT). It lists many that no modern reader uses (不 fǒu, 听 yǐn):
one that is not its first stays where two words of its dictionary have it, or where the dictionary has next
to no word with the character. A reading's share is that of the words that have it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from models.training.rhyme_books.merges import Place, numeral

# name=finals, in the strict finals of pypinyin; `-i` is that of zhi chi shi ri zi ci si, `v` is ü.
_XINYUN = (
    "麻=a,ia,ua 波=o,io,uo,e 皆=ie,ve,ê 开=ai,uai 微=ei,uei 豪=ao,iao 尤=ou,iou 寒=an,ian,uan,van "
    "文=en,in,uen,vn 唐=ang,iang,uang 庚=eng,ing,ueng,ong,iong 齐=i,v,er 支=-i 姑=u"
)
_TONGYUN = (
    "啊=a,ia,ua 喔=o,io,uo 鹅=e,ie,ve,ê 衣=i,-i 乌=u 迂=v 哀=ai,uai 欸=ei,uei 熬=ao,iao 欧=ou,iou "
    "安=an,ian,uan,van 恩=en,in,uen,vn 昂=ang,iang,uang 英=eng,ing,ueng 雍=ong,iong 儿=er"
)
_FEW_WORDS = 3
# Their other tones are what neighbours do to them (sandhi), not readings.
_ONE_READING = "一七八不"


def _groups(table: str) -> dict[str, str]:
    """final → numbered group."""
    pairs = [group.split("=") for group in table.split()]
    return {
        final: numeral(number) + name
        for number, (name, finals) in enumerate(pairs, start=1)
        for final in finals.split(",")
    }


XINYUN_OF = _groups(_XINYUN)
TONGYUN_OF = _groups(_TONGYUN)


def order(groups: Iterable[str]) -> tuple[Place, ...]:
    """The places of a book with these groups."""
    names = tuple(dict.fromkeys(groups))
    return tuple((division, name) for division in ("平声", "仄声") for name in names)


def place_of(syllable: str, groups: dict[str, str]) -> Place | None:
    """Where a syllable with its tone (`zhong1`; 5 is the neutral tone) stands; None for hm, ng and their
    like.

    A neutral syllable (的, 了) counts as oblique.
    """
    from pypinyin.contrib.tone_convert import to_finals

    final = to_finals(syllable, strict=True, v_to_u=False)
    if final == "i" and syllable[0] in "zcsr":
        final = "-i"
    if final not in groups:
        return None
    return ("平声" if syllable[-1] in "12" else "仄声"), groups[final]


def syllables(characters: Iterable[str]) -> dict[str, dict[str, float]]:
    """The modern syllables (`zhong1`) of each character that has one, with their shares of its use."""
    words = _in_words()
    found = {character: _listed(character) for character in characters}
    return {c: _weighed(c, every, words.get(c, Counter())) for c, every in found.items() if every}


def _listed(character: str) -> list[str]:
    """The syllables that pypinyin lists, the usual first."""
    from pypinyin import Style, pinyin

    every = pinyin(character, style=Style.TONE3, heteronym=True, neutral_tone_with_five=True, errors="ignore")
    return every[0] if every else []


def _weighed(character: str, every: Sequence[str], words: Counter[str]) -> dict[str, float]:
    """The shares of the syllables that are in use; the first has two imagined words more."""
    first, *others = every
    used = [
        s
        for s in others
        if not s.endswith("5")
        and character not in _ONE_READING
        and (words[s] > 1 or words.total() < _FEW_WORDS)
    ]
    weights = {first: words[first] + 2.0} | {s: words[s] + 0.5 for s in used}
    return {s: weight / sum(weights.values()) for s, weight in weights.items()}


def _in_words() -> dict[str, Counter[str]]:
    """How many words of pypinyin's dictionary have each character with each syllable."""
    from pypinyin.constants import PHRASES_DICT
    from pypinyin.contrib.tone_convert import to_tone3

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, sounds in PHRASES_DICT.items():
        for character, [sound, *_] in zip(word, sounds, strict=False):
            counts[character][to_tone3(sound, neutral_tone_with_five=True)] += 1
    return counts
