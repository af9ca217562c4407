"""Writing a table that `models.prosody.books` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.training.rhyme_books.merges import Place

_PER_LINE = 50


def thousandths(shares: Mapping[Place, float]) -> dict[Place, int]:
    """Whole thousandths that add up to 1,000, at least one each, by largest remainders."""
    spare = 1000 - len(shares)
    total = sum(shares.values())
    exact = {place: spare * share / total for place, share in shares.items()}
    whole = {place: 1 + int(value) for place, value in exact.items()}
    by_remainder = sorted(exact, key=lambda place: (int(exact[place]) - exact[place], place))
    for place in by_remainder[: 1000 - sum(whole.values())]:
        whole[place] += 1
    return whole


def render(
    heading: str, order: Sequence[Place], table: Mapping[str, Mapping[Place, float]], uses: Mapping[str, int]
) -> str:
    """The text of a table: the places in `order`, in each the characters that are used most first."""
    placed: dict[Place, list[str]] = {place: [] for place in order}
    for character in sorted(table, key=lambda c: (-uses.get(c, 0), c)):
        shares = thousandths(table[character])
        for place, share in shares.items():
            placed[place].append(character + (str(share) if len(shares) > 1 else ""))
    lines = [f"# {heading}"]
    for (division, group), characters in placed.items():
        for start in range(0, len(characters), _PER_LINE):
            lines.append(f"{division}\t{group}\t{''.join(characters[start : start + _PER_LINE])}")
    return "\n".join(lines) + "\n"
