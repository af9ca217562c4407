"""Which candidate is the best: the likeliest and the closest to the picture, in equal parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.choice import standard_scores
from models.clip import Encoder
from models.prosody import Form, RhymeBook
from models.prosody.checker import check
from models.prosody.report import Report
from models.sources import Sources
from server.events import Candidate, CopiedLine


class Draft:
    """A candidate while it is being written."""

    def __init__(self, form: Form, book: RhymeBook) -> None:
        """`book` is what the poem will be checked by."""
        self._form = form
        self._book = book
        self._lines: list[str] = []
        self._log_probabilities: list[float] = []

    def add(self, line: int, text: str, log_probability: float) -> None:
        """Append a character to the line with that number, from 0; lines are written in order."""
        if line == len(self._lines):
            self._lines.append("")
        self._lines[line] += text
        self._log_probabilities.append(log_probability)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    @property
    def complete(self) -> bool:
        full = [len(line) == self._form.characters for line in self._lines]
        return len(full) == self._form.lines and all(full)

    def report(self) -> Report | None:
        """How the poem stands under the rules of its form; None for one that is not complete."""
        return check("\n".join(self._lines), book=self._book, form=self._form) if self.complete else None

    def copied_lines(self, sources: Sources | None) -> tuple[CopiedLine, ...]:
        """The full lines that `sources` knows; without it none."""
        if sources is None:
            return ()
        full = [line if len(line) == self._form.characters else "" for line in self._lines]
        found = [(number, sources.of(line)) for number, line in enumerate(full) if line]
        return tuple(CopiedLine(line=number, source=source) for number, source in found if source)

    @property
    def mean_log_probability(self) -> float:
        return float(np.mean(self._log_probabilities)) if self._log_probabilities else 0.0


def rank(
    drafts: Sequence[Draft], query: np.ndarray, encoder: Encoder, sources: Sources | None = None
) -> tuple[tuple[Candidate, ...], int]:
    """Score the candidates, in their order, and name the best one's place.

    The score is the sum of the standard scores, among these candidates, of the mean log probability and
    of the cosine of the whole poem and `query` (D,). Standard scores need no weight that would have to be
    tuned to each pair of encoder and poet. A complete poem goes before an incomplete one.
    """
    similarities = _similarities(drafts, query, encoder)
    likelihoods = np.array([draft.mean_log_probability for draft in drafts])
    scores = standard_scores(likelihoods) + standard_scores(similarities)
    candidates = tuple(
        Candidate(
            lines=draft.lines,
            complete=draft.complete,
            mean_log_probability=draft.mean_log_probability,
            similarity=float(similarity),
            score=float(score),
            report=draft.report(),
            copied_lines=draft.copied_lines(sources),
        )
        for draft, similarity, score in zip(drafts, similarities, scores, strict=True)
    )
    return candidates, max(range(len(candidates)), key=lambda place: _merit(candidates[place]))


def _merit(candidate: Candidate) -> tuple[bool, float]:
    return candidate.complete, candidate.score


def _similarities(drafts: Sequence[Draft], query: np.ndarray, encoder: Encoder) -> np.ndarray:
    """Cosine of each poem and the query, (N,) float64; 0 for a candidate without a character."""
    similarities = np.zeros(len(drafts))
    written = [place for place, draft in enumerate(drafts) if draft.lines]
    if written:
        poems = ["，".join(drafts[place].lines) for place in written]
        similarities[written] = encoder.encode_texts(poems) @ query
    return similarities
