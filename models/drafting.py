"""Lines being written: rows of one batch, each under its own rules and with its own random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.choice import LineJudge, Trials
from models.guidance import Guide
from models.prosody import Form, Writing
from models.sampling import Sampling, generator_of
from models.tokenizer import CharacterTokenizer


@dataclass(frozen=True, kw_only=True)
class PoemToken:
    """One Chinese character of one candidate.

    Attributes:
        candidate, line, position: where it stands, all from 0.
        id: its token id.
        text: the character.
        log_probability: natural logarithm, under the model at temperature 1, fused where it is, before any
            constraint.
    """

    candidate: int
    line: int
    position: int
    id: int
    text: str
    log_probability: float


@dataclass(kw_only=True)
class Row:
    """One candidate, or one of the lines that a candidate chooses from.

    Attributes:
        candidate: which candidate it belongs to, from 0.
        lines: the finished lines.
        line: the beginning of the next one.
        ids: the poem's token ids.
        writing: the rules, as far as the poem is written.
        generator: its random numbers.
    """

    candidate: int
    lines: list[str]
    line: str = ""
    ids: list[int]
    writing: Writing
    generator: np.random.Generator

    def copy(self, generator: np.random.Generator) -> Row:
        """The same poem so far, to go on with other random numbers."""
        return Row(
            candidate=self.candidate,
            lines=list(self.lines),
            line=self.line,
            ids=list(self.ids),
            writing=self.writing.copy(),
            generator=generator,
        )


@dataclass(kw_only=True)
class Draft:
    """The poems of one request, being written.

    Attributes:
        keywords: those that the poet was given.
        parallel_lines: the lines, from 0, that are to close a parallel couplet.
        line_choices, judge: as in `Poet.compose`.
        guide: what is added to the logits.
        rows: one a candidate.
    """

    keywords: Sequence[str]
    form: Form
    subject: str | None
    sampling: Sampling
    seed: int
    parallel_lines: Sequence[int]
    line_choices: int
    judge: LineJudge
    guide: Guide
    rows: list[Row]

    def trials(self, line: int) -> list[Row]:
        """Copies of each row, `line_choices` of them together, to write different lines."""
        return [
            row.copy(generator_of(self.seed, row.candidate, line, choice))
            for row in self.rows
            for choice in range(self.line_choices)
        ]

    def choose(self, trials: Sequence[Row], written: Sequence[Sequence[PoemToken]]) -> list[int]:
        """For each row, the place of the trial that goes on."""
        log_probabilities = [[token.log_probability for token in tokens] for tokens in written]
        totals = np.array(log_probabilities).sum(axis=0)
        starts = range(0, len(trials), self.line_choices)
        chosen = self.judge.choose(
            [
                Trials(
                    before=trials[start].lines[:-1],
                    lines=[trial.lines[-1] for trial in trials[start : start + self.line_choices]],
                    log_probabilities=totals[start : start + self.line_choices],
                    parallel=written[0][0].line in self.parallel_lines,
                )
                for start in starts
            ],
            keywords=self.keywords,
        )
        return [start + place for start, place in zip(starts, chosen, strict=True)]


class LinesTask:
    """Lines of every row, for the engine to write. Used by the engine's thread (`models.tasks.Task`).

    At its end the rows' sequences have read all but the last character. What it tells, position by position,
    is one token a row; a line that was stopped is not in `Row.lines`.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        form: Form,
        guide: Guide,
        sampling: Sampling,
        tokenizer: CharacterTokenizer,
        stopped: Callable[[], bool],
        lines: int = 1,
        goes_on: bool = True,
    ) -> None:
        """`lines`: how many to write; the poet reads each one's end before it writes the next."""
        self.rows = rows
        self.goes_on = goes_on
        self.sampling = sampling
        self.generators = [row.generator for row in rows]
        self.stopped = stopped
        self._form = form
        self._guide = guide
        self._tokenizer = tokenizer
        self._to_come = lines

    def line(self, row: int) -> Sequence[int]:
        poem = self.rows[row]
        return poem.ids[len(poem.ids) - len(poem.line) :]

    def weights(self, row: int) -> np.ndarray:
        writing = self.rows[row].writing
        forced = writing.forced()
        return writing.weights() if forced is None else _only(forced, self._tokenizer)

    def guide(self, row: int, weighted: np.ndarray) -> None:
        poem = self.rows[row]
        if poem.writing.forced() is None:
            self._guide.guide(weighted, poem.lines, poem.line, poem.ids)

    def take(
        self, ids: np.ndarray, log_probabilities: np.ndarray
    ) -> tuple[list[PoemToken], list[list[int]] | None]:
        drawn = zip(self.rows, ids.tolist(), log_probabilities.tolist(), strict=True)
        tokens = [self._write(row, index, value) for row, index, value in drawn]
        if self.rows[0].line:
            return tokens, [[token.id] for token in tokens]
        self._to_come -= 1
        line_end = self._tokenizer.eos_id
        return tokens, [[token.id, line_end] for token in tokens] if self._to_come else None

    def _write(self, row: Row, index: int, log_probability: float) -> PoemToken:
        token = PoemToken(
            candidate=row.candidate,
            line=len(row.lines),
            position=len(row.line),
            id=index,
            # A fixed character that the vocabulary lacks is read as unknown, and written all the same.
            text=row.writing.forced() or self._tokenizer.vocabulary[index],
            log_probability=log_probability,
        )
        row.writing.accept(token.text)
        row.ids.append(token.id)
        row.line += token.text
        if len(row.line) == self._form.characters:
            row.lines.append(row.line)
            row.line = ""
        return token


def _only(character: str, tokenizer: CharacterTokenizer) -> np.ndarray:
    weights = np.full(len(tokenizer), -np.inf, dtype=np.float32)
    [index] = tokenizer.encode(character)
    weights[index] = 0.0
    return weights
