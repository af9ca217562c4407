"""What callers may ask for: typed requests that cannot exist with a value outside its limits.

Every check that needs no model is made here; a wrong vector length, an unknown poet or a form that a poet
does not write are found in the pipeline, where encoder and poets are at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.prosody import FORMS, Form, Pattern, RhymeBook, Rules, fixed_places, is_han
from models.sampling import InvalidOption, Sampling

MAX_TOP_K = 64
MAX_CANDIDATES = 16
MAX_LINE_CHOICES = 16
MAX_LINES_AT_ONCE = 64
MAX_KEYWORDS = 16
MAX_KEYWORD_CHARACTERS = 8
MAX_TEXT_CHARACTERS = 200
MAX_LINES = max(form.lines for form in FORMS.values())
MAX_FIXED_TEXTS = max(form.lines * form.characters for form in FORMS.values())
MAX_SEED = 2**63 - 1
DEFAULT_TOP_K = 8
# Defaults of Sampling for a poem without a choice among lines: nothing makes up for a bold draw there.
STREAMED = {"temperature": 0.85, "top_p": 0.95}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image file's bytes, as they came."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.data:
            raise InvalidOption("picture: is empty; send the bytes of an image file")


@dataclass(frozen=True, kw_only=True)
class Text:
    """Chinese text."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.text) <= MAX_TEXT_CHARACTERS:
            raise InvalidOption(
                f"text: must have 1 to {MAX_TEXT_CHARACTERS} characters, not {len(self.text)}"
            )
        if not any(map(is_han, self.text)):
            raise InvalidOption("text: has no Chinese character")


@dataclass(frozen=True, kw_only=True)
class Words:
    """Keywords that the caller chose."""

    words: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.words) <= MAX_KEYWORDS:
            raise InvalidOption(f"keywords: must be 1 to {MAX_KEYWORDS} words, not {len(self.words)}")
        for place, word in enumerate(self.words):
            if not 1 <= len(word) <= MAX_KEYWORD_CHARACTERS:
                raise InvalidOption(
                    f"keywords[{place}]: must have 1 to {MAX_KEYWORD_CHARACTERS} characters, not {len(word)}"
                )
            if not is_han(word):
                raise InvalidOption(f"keywords[{place}]: must consist of Chinese characters")


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A vector in the encoder's space; the pipeline checks it against the encoder."""

    values: Sequence[float] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """A wish for keywords."""

    source: Picture | Text | Embedding
    top_k: int = DEFAULT_TOP_K

    def __post_init__(self) -> None:
        _check_range("top_k", self.top_k, 1, MAX_TOP_K)


@dataclass(frozen=True, kw_only=True)
class RulesWish:
    """What the poem must keep; `rules_for` says whether a form can.

    Attributes:
        fixed_texts: (line, position, text), both numbers from 0.
    """

    regulated: bool = True
    pattern: Pattern | None = None
    book: RhymeBook | None = None
    rhyme_group: str | None = None
    acrostic: str = field(default="", repr=False)
    fixed_texts: tuple[tuple[int, int, str], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        _check_range("rules.acrostic: characters", len(self.acrostic), 0, MAX_LINES)
        _check_range("rules.fixed_texts", len(self.fixed_texts), 0, MAX_FIXED_TEXTS)
        for place, (line, position, text) in enumerate(self.fixed_texts):
            _check_range(f"rules.fixed_texts[{place}].line", line, 0, MAX_LINES - 1)
            _check_range(f"rules.fixed_texts[{place}].position", position, 0, MAX_FIXED_TEXTS)
            if not text:
                raise InvalidOption(f"rules.fixed_texts[{place}].text: is empty")

    def rules_for(self, form: Form) -> Rules:
        """Raises ImpossibleRules where fixed characters do not fit the form, or one another."""
        return Rules(
            regulated=self.regulated,
            pattern=self.pattern,
            book=self.book,
            rhyme_group=self.rhyme_group,
            fixed=fixed_places(form, acrostic=self.acrostic, texts=self.fixed_texts),
        )


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A wish for a poem.

    Attributes:
        poet: a poet's name; empty for the default one.
        form: None leaves it to the poet.
        subject: what kind of poem it is to be; empty leaves it open.
        seed: 0 … 2^63 − 1.
        line_choices: of how many lines each one is chosen.
    """

    source: Picture | Text | Words
    poet: str = ""
    form: Form | None = None
    subject: str = ""
    top_k: int = DEFAULT_TOP_K
    sampling: Sampling = field(default_factory=Sampling)
    rules: RulesWish = field(default_factory=RulesWish)
    seed: int
    candidates: int = 1
    line_choices: int = 1

    def __post_init__(self) -> None:
        _check_range("top_k", self.top_k, 1, MAX_TOP_K)
        _check_range("candidates", self.candidates, 1, MAX_CANDIDATES)
        _check_range("line_choices", self.line_choices, 1, MAX_LINE_CHOICES)
        _check_range("candidates times line_choices", self.lines_at_once, 1, MAX_LINES_AT_ONCE)
        _check_range("seed", self.seed, 0, MAX_SEED)

    @property
    def lines_at_once(self) -> int:
        return self.candidates * self.line_choices


def line_choices_for(candidates: int, *, default: int) -> int:
    """The line choices of a request that names none: as many as its candidates leave room for."""
    return max(1, min(default, MAX_LINES_AT_ONCE // max(1, candidates)))


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise InvalidOption(f"{name}: must be {lowest} to {highest}, not {value}")
