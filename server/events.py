"""What the pipeline makes: the events of a poem, and the answer to a lookup."""

from __future__ import annotations

from dataclasses import dataclass

from index_builder.index import Keyword
from models.drafting import PoemToken
from models.prosody import Form
from models.prosody.report import Report
from models.sources import Source


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Milliseconds by stage, as the contract defines them; 0 for a stage that did not happen."""

    queue_ms: float = 0.0
    encode_ms: float = 0.0
    search_ms: float = 0.0
    first_token_ms: float = 0.0
    write_ms: float = 0.0
    rank_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """The answer to a lookup."""

    keywords: tuple[Keyword, ...]
    index_version: str
    timings: Timings


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """What the poem will be about."""

    keywords: tuple[Keyword, ...]
    index_version: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A complete line."""

    candidate: int
    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class CopiedLine:
    """A line, from 0, and the poem that it is copied from."""

    line: int
    source: Source


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A poem as far as it came, with what the ranking goes by."""

    lines: tuple[str, ...]
    complete: bool
    mean_log_probability: float
    similarity: float
    score: float
    report: Report | None
    copied_lines: tuple[CopiedLine, ...]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The end of a poem: all candidates, and which is the best."""

    candidates: tuple[Candidate, ...]
    best_candidate: int
    keywords: tuple[Keyword, ...]
    index_version: str
    poet: str
    form: Form
    seed: int
    timings: Timings

    @property
    def best(self) -> Candidate:
        return self.candidates[self.best_candidate]


Event = Retrieved | PoemToken | Line | Finished
