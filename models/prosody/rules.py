"""What a caller may ask of a poem besides its length, and why a wish cannot be granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.prosody.books import RhymeBook, rhyme_book
from models.prosody.characters import is_han
from models.prosody.forms import Form
from models.prosody.patterns import PATTERNS, Pattern

Place = tuple[int, int]
"""Line and position in the line, both from 0."""


class ImpossibleRules(ValueError):
    """No poem can keep these rules together; the message says which of them stand against each other."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of one poem.

    Attributes:
        regulated: keep tones and rhyme; otherwise the lengths and the fixed characters alone.
        pattern: the tonal pattern; None leaves it to the poet, character by character.
        book: the rhyme book that tones and rhymes are taken from; None is 平水韵.
        rhyme_group: its group to rhyme in; None leaves it to the poet's first rhyme.
        fixed: characters that stand at given places.
    """

    regulated: bool = True
    pattern: Pattern | None = None
    book: RhymeBook | None = None
    rhyme_group: str | None = None
    fixed: Mapping[Place, str] = field(default_factory=dict)

    @property
    def rhymes(self) -> RhymeBook:
        """The book, or the one that goes without saying."""
        return self.book or rhyme_book("pingshui")

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns that are left open."""
        return [self.pattern] if self.pattern else list(PATTERNS.values())


def fixed_places(
    form: Form, *, acrostic: str = "", texts: Sequence[tuple[int, int, str]] = ()
) -> dict[Place, str]:
    """The places of an acrostic (藏头: the first characters of the lines) and of (line, position, text).

    Raises ImpossibleRules where a text does not fit the form, or two ask for one place.
    """
    if len(acrostic) > form.lines:
        raise ImpossibleRules(
            f"the acrostic has {len(acrostic)} characters, {form.chinese} has {form.lines} lines"
        )
    wishes = [*((line, 0, character) for line, character in enumerate(acrostic)), *texts]
    fixed: dict[Place, str] = {}
    for line, start, text in wishes:
        if not is_han(text):
            raise ImpossibleRules(
                f"{text!r} in line {line + 1}: a poem is written in Chinese characters alone"
            )
        if line >= form.lines or start + len(text) > form.characters:
            raise ImpossibleRules(
                f"{text} does not fit in line {line + 1} from place {start + 1}: "
                f"{form.chinese} has {form.lines} lines of {form.characters} characters"
            )
        for position, character in enumerate(text, start):
            other = fixed.setdefault((line, position), character)
            if other != character:
                raise ImpossibleRules(
                    f"line {line + 1}, place {position + 1} cannot be both {other} and {character}"
                )
    return fixed
