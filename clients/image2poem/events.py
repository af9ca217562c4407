"""What a server answers, as plain immutable values. Timings are in milliseconds, scores are cosines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """An imagery word (意象); `score` is −1 … 1, and 0 for a word that the caller gave."""

    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Where the server's time went, in milliseconds; 0 for a stage that did not happen."""

    queue_ms: float
    encode_ms: float
    search_ms: float
    first_token_ms: float
    write_ms: float
    rank_ms: float
    total_ms: float


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Keywords, best first."""

    keywords: tuple[Keyword, ...]
    index_version: str
    timings: Timings


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """First event: the keywords, best first."""

    keywords: tuple[Keyword, ...]
    index_version: str


@dataclass(frozen=True, kw_only=True)
class Token:
    """One character. Candidate, line and position count from 0; `log_probability` is natural."""

    candidate: int
    line: int
    position: int
    id: int
    text: str
    log_probability: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A complete line, without punctuation."""

    candidate: int
    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Conformity:
    """How a poem stands under the rules; `Client.check_poem` explains it.

    `conforms` reads a character with several readings as suits the poem, `conforms_resolved` without those
    that the corpus uses in less than a tenth of the cases.
    `pattern` is a_unrhymed, a_rhymed, b_unrhymed, b_rhymed or empty; `rhyme_book` pingshui, cilin, xinyun or
    tongyun.
    """

    conforms: bool
    conforms_resolved: bool
    pattern: str
    rhyme_book: str
    rhyme_group: str


@dataclass(frozen=True, kw_only=True)
class CopiedLine:
    """A line, from 0, that stands word for word in a poem of the corpus that the poets learned from.

    `dynasty` is tang, song or what the corpus says. `elsewhere`: it stands in other poems of the corpus too.
    """

    line: int
    dynasty: str
    author: str
    title: str
    elsewhere: bool


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of the poems; `finish_reason` is complete or incomplete, a higher `score` is better.

    A poem that is not complete has no `conformity`. A server without sources finds no `copied_lines`.
    """

    lines: tuple[str, ...]
    finish_reason: str
    mean_log_probability: float
    similarity: float
    score: float
    conformity: Conformity | None
    copied_lines: tuple[CopiedLine, ...]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Last event: the best candidate's lines in `poem`, and how they came about.

    `form` is wujue, qijue, wulv or qilv. The same `seed` and request give the same poem again.
    """

    poem: tuple[str, ...]
    finish_reason: str
    best_candidate: int
    candidates: tuple[Candidate, ...]
    keywords: tuple[Keyword, ...]
    index_version: str
    seed: int
    poet: str
    form: str
    timings: Timings
    conformity: Conformity | None
    copied_lines: tuple[CopiedLine, ...]


Event = Retrieved | Token | Line | Finished


@dataclass(frozen=True, kw_only=True)
class Poet:
    """A poet of the server; `architecture` is t5 or gpt2, `subjects` are those that it was taught."""

    name: str
    architecture: str
    forms: tuple[str, ...]
    fingerprint: str
    execution_providers: tuple[str, ...]
    subjects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What turns pictures and texts into vectors of `dimension` numbers."""

    name: str
    fingerprint: str
    dimension: int
    execution_providers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Index:
    """The keyword index in service; `size` counts keywords."""

    version: str
    size: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest values that requests may have; `max_lines_at_once` is candidates times line choices."""

    max_message_bytes: int
    max_picture_pixels: int
    max_top_k: int
    max_candidates: int
    max_keywords: int
    max_keyword_characters: int
    max_text_characters: int
    max_line_choices: int
    max_lines_at_once: int


@dataclass(frozen=True, kw_only=True)
class RhymeBook:
    """A rhyme book: its stable name, what readers call it, and the groups that a poem may rhyme in."""

    book: str
    name: str
    rhyme_groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a server knows copied lines by; `lines` counts them."""

    name: str
    fingerprint: str
    lines: int


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """What a server has and allows. Without `sources` it does not look for copied lines.

    `default_line_choices`: of how many lines each line is chosen where a wish does not say.
    """

    server_version: str
    poets: tuple[Poet, ...]
    default_poet: str
    encoder: Encoder
    index: Index
    forms: tuple[str, ...]
    limits: Limits
    rhyme_books: tuple[RhymeBook, ...]
    sources: Sources | None
    default_line_choices: int
