"""The four books, put together from 廣韻, the corpus and the sounds of Mandarin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.training.rhyme_books import mandarin, merges, shares, spellings
from models.training.rhyme_books.guangyun import Entry
from models.training.rhyme_books.merges import Place

Shares = dict[str, dict[Place, float]]


def wanted(uses: Iterable[str]) -> list[str]:
    """The characters that tables are for: those in `uses` and the 20,902 of the first block of Unicode."""
    return list(dict.fromkeys([*uses, *map(chr, range(0x4E00, 0x9FA6))]))


def sounds(entries: Iterable[Entry], characters: Iterable[str]) -> dict[str, list[Entry]]:
    """The entries of 廣韻 that each of `characters`, or a form of it, is one of."""
    by_character: dict[str, list[Entry]] = {}
    for entry in entries:
        by_character.setdefault(entry.character, []).append(entry)
    spread = spellings.with_variants(by_character, spellings.read_variants())
    characters = list(characters)
    found = spellings.with_simplified(spread, characters)
    return {character: found[character] for character in characters if character in found}


def pingshui(found: Mapping[str, list[Entry]], listed: shares.Table, poems: list[tuple[str, ...]]) -> Shares:
    """平水韵: the places of each character with their shares."""
    places = {c: list(dict.fromkeys(map(merges.pingshui_place, entries))) for c, entries in found.items()}
    simplify = spellings.converter("t2s")
    kept = shares.without_idle(shares.estimate(poems, places, simplify), listed)
    return shares.estimate(poems, kept, simplify)


def cilin(found: Mapping[str, list[Entry]], by_pingshui: Shares) -> Shares:
    """词林正韵: the share of a reading of 平水韵 goes in even parts to the places of its entries."""
    result: Shares = {}
    for character, entries in found.items():
        result[character] = {}
        for place, share in by_pingshui[character].items():
            parts = [p for e in entries if merges.pingshui_place(e) == place for p in merges.cilin_places(e)]
            for part in dict.fromkeys(parts):
                before = result[character].get(part, 0.0)
                result[character][part] = before + share / len(set(parts))
    return result


def by_finals(syllables: Mapping[str, Mapping[str, float]], groups: Mapping[str, str]) -> Shares:
    """中华新韵 or 中华通韵: the places of each character's modern syllables."""
    result: Shares = {}
    for character, weights in syllables.items():
        for syllable, weight in weights.items():
            place = mandarin.place_of(syllable, groups)
            if place is not None:
                known = result.setdefault(character, {})
                known[place] = known.get(place, 0.0) + weight
    return result


def modern(characters: Iterable[str]) -> dict[str, dict[str, float]]:
    """The modern syllables of `characters`; of a form that pypinyin lacks, those of what it is a form of."""
    characters = list(characters)
    found = mandarin.syllables(characters)
    alike = {
        form: other for line in spellings.read_variants() for form in line for other in line if other in found
    }
    for character in characters:
        if character not in found:
            origin = alike.get(character) or spellings.origin_of(character, found)
            found |= {character: found[origin]} if origin else {}
    return found


ORDER = {
    "pingshui": merges.PINGSHUI,
    "cilin": merges.CILIN,
    "xinyun": mandarin.order(mandarin.XINYUN_OF.values()),
    "tongyun": mandarin.order(mandarin.TONGYUN_OF.values()),
}
