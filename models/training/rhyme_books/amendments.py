"""What 廣韻 lacks or says otherwise than the poems: `additions.tsv` and `corrections.tsv`, made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.training.rhyme_books.guangyun import Entry

_FOLDER = Path(__file__).parent


class WrongAmendment(ValueError):
    """An amendment that changes nothing: what it adds is there already, or what it takes away is not."""


def amended(entries: Iterable[Entry], folder: Path = _FOLDER) -> list[Entry]:
    """`entries` with the additions and corrections of `folder`. Raises WrongAmendment."""
    known = {(entry.character, entry.rhyme): entry for entry in entries}
    printed = {character for character, _ in known}
    for rhyme, characters in _rows(folder / "additions.tsv"):
        for character in characters:
            if character in printed:
                raise WrongAmendment(f"{character} {rhyme}: 廣韻 has that character; correct it instead")
            known[character, rhyme] = Entry(character, rhyme, False)
    for sign, character, rhyme, _ in _rows(folder / "corrections.tsv"):
        if (sign == "+") == ((character, rhyme) in known):
            raise WrongAmendment(f"{sign} {character} {rhyme} changes nothing")
        if sign == "+":
            known[character, rhyme] = Entry(character, rhyme, False)
        else:
            del known[character, rhyme]
    return list(known.values())


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]
