"""A poet: keywords and a form in, characters out, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from threading import Lock

import numpy as np

from models.bundle import Bundle, CorruptArtifact
from models.choice import LineJudge
from models.drafting import Draft, PoemToken, Row, write_line
from models.engine import Decoding, open_engine
from models.guidance import PARALLELISM, Guide
from models.prompt import PromptTemplate, PromptTooLong, select_keywords
from models.prosody import (
    FORMS,
    Constraint,
    Endings,
    Form,
    LengthsOnly,
    Lexicon,
    Regulated,
    RhymeBook,
    Rules,
)
from models.prosody.parallelism import Opposites
from models.sampling import InvalidOption, Sampling, generator_of
from models.tokenizer import EOS, CharacterTokenizer


class Poet:
    """A T5 or GPT2 bundle, opened. Safe for use by several threads at once.

    Attributes:
        name: as in the bundle's manifest.
        architecture: `t5` or `gpt2`.
        fingerprint: the bundle's.
        forms: names of the forms that it was trained to write.
        subjects: names of the subjects that it was taught, e.g. 送别.
        providers: the execution providers that are really active.
    """

    def __init__(self, bundle: Bundle, *, provider: str = "cpu", threads: int = 0) -> None:
        manifest = bundle.manifest
        self.name: str = bundle.name
        self.architecture: str = manifest["architecture"]
        self.fingerprint = bundle.fingerprint
        self.forms: tuple[str, ...] = tuple(name for name in FORMS if name in manifest["prompt"]["forms"])
        self._engine = open_engine(bundle, provider=provider, threads=threads)
        self.providers = self._engine.providers
        self._tokenizer = CharacterTokenizer.read(bundle.file(manifest["tokenizer"]["vocabulary"]))
        self._template = PromptTemplate.from_manifest(manifest)
        self.subjects = tuple(self._template.subjects)
        self._line_end = self._tokenizer.id_of(EOS)
        self._lexicons: dict[str, Lexicon] = {}
        self._lock = Lock()

    @classmethod
    def open(cls, bundle: Bundle, *, provider: str = "cpu", threads: int = 0) -> Poet:
        """Open a poet bundle. Raises CorruptArtifact, ProviderUnavailable."""
        try:
            return cls(bundle, provider=provider, threads=threads)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{bundle.path}: not a poet's manifest: {error!r}") from error

    def compose(
        self,
        keywords: Sequence[str],
        *,
        form: Form,
        sampling: Sampling,
        seed: int,
        constraint: Constraint | None = None,
        subject: str | None = None,
        candidates: int = 1,
        line_choices: int = 1,
        judge: LineJudge | None = None,
        parallelism: float | None = PARALLELISM,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[PoemToken]:
        """Write `candidates` poems side by side.

        Args:
            keywords: best first; the first ones, at most one a line, go into the prompt.
            form: one of `forms`.
            sampling: how characters are drawn.
            seed: the same seed and arguments give the same poems on one machine and bundle.
            constraint: what `constraint` gave for this form; without one, regulated verse in 平水韵.
            subject: one of `subjects`; None leaves it open.
            candidates: number of poems, at least 1.
            line_choices: of how many lines each line is chosen. A line with a choice is yielded once it is
                chosen: its characters come together. 1 is off.
            judge: who chooses; without one, a judge that knows no query.
            parallelism: the least mean score that characters are drawn with which stand opposite the upper
                line's (docs/parallelism.md), in lines that are to close a parallel couplet; None is off.
            stopped: asked before each decoder step; when true the poems end where they are.

        Returns an iterator of characters: for each line and position one of each candidate.

        Raises (at the call, not in the iterator):
            InvalidOption: form or subject is none that the poet knows, or the seed is out of range.
            PromptTooLong: prompt and poem need more tokens than the model has places for.
        """
        if form.name not in self.forms:
            raise InvalidOption(f"poet {self.name} writes {', '.join(self.forms)}, not {form.name}")
        if subject is not None and subject not in self.subjects:
            known = ", ".join(self.subjects) or "none"
            raise InvalidOption(f"subject: poet {self.name} knows {known}, not {subject}")
        constraint = constraint or self.constraint(form, Rules())
        draft = Draft(
            keywords=select_keywords(keywords, form),
            form=form,
            subject=subject,
            sampling=sampling,
            seed=seed,
            parallel_lines=constraint.parallel_lines,
            line_choices=line_choices,
            judge=judge or LineJudge(),
            guide=Guide(
                form=form,
                frequency_penalty=sampling.frequency_penalty,
                parallel_lines=constraint.parallel_lines,
                parallelism=parallelism,
                opposites=self._opposites,
            ),
            rows=[
                Row(
                    candidate=row,
                    lines=[],
                    ids=[],
                    writing=constraint.begin(),
                    generator=generator_of(seed, row),
                )
                for row in range(candidates)
            ],
        )
        self._check_length(draft)
        write = self._write_by_line if self.architecture == "t5" else self._write_through
        return write(draft, stopped)

    def constraint(self, form: Form, rules: Rules) -> Constraint:
        """What these rules allow this poet. Raises ImpossibleRules."""
        if not rules.regulated:
            return LengthsOnly(form, self._tokenizer.vocabulary, rules.fixed)
        return Regulated(form, rules, self._lexicon(rules.rhymes))

    def _lexicon(self, book: RhymeBook) -> Lexicon:
        """Made at its first use: a server that never rhymes in 词林正韵 need not hold it."""
        with self._lock:
            if book.name not in self._lexicons:
                self._lexicons[book.name] = Lexicon(self._tokenizer.vocabulary, book, self._endings)
            return self._lexicons[book.name]

    @cached_property
    def _endings(self) -> Endings:
        return Endings(self._tokenizer.vocabulary)

    @cached_property
    def _opposites(self) -> Opposites:
        return Opposites(self._tokenizer.vocabulary)

    def _write_through(self, draft: Draft, stopped: Callable[[], bool]) -> Iterator[PoemToken]:
        """GPT2: one sequence from the prompt to the poem's end."""
        if stopped():
            return
        decoding = self._engine.begin(self._prompts(draft, with_lines=False))
        for line in range(draft.form.lines):
            for tokens in self._line(draft, decoding, line, stopped):
                yield from tokens
            if stopped():
                return
            if line + 1 < draft.form.lines:
                ends = [[token.id, self._line_end] for token in tokens]
                decoding.step(np.array(ends, dtype=np.int64))

    def _write_by_line(self, draft: Draft, stopped: Callable[[], bool]) -> Iterator[PoemToken]:
        """T5: the encoder reads keywords and lines so far, the decoder writes the next line."""
        for line in range(draft.form.lines):
            if stopped():
                return
            decoding = self._engine.begin(self._prompts(draft, with_lines=True))
            for tokens in self._line(draft, decoding, line, stopped):
                yield from tokens

    def _line(
        self, draft: Draft, decoding: Decoding, line: int, stopped: Callable[[], bool]
    ) -> Iterator[list[PoemToken]]:
        """One line of every candidate; at its end `decoding` has read all but the last character."""

        def write(rows: Sequence[Row]) -> Iterator[list[PoemToken]]:
            return write_line(
                rows,
                decoding,
                form=draft.form,
                guide=draft.guide,
                sampling=draft.sampling,
                tokenizer=self._tokenizer,
                stopped=stopped,
            )

        if draft.line_choices == 1:
            yield from write(draft.rows)
            return
        decoding.select(np.repeat(np.arange(len(draft.rows)), draft.line_choices))
        trials = draft.trials(line)
        written = list(write(trials))
        if len(written) == draft.form.characters:
            chosen = draft.choose(trials, written)
            decoding.select(chosen)
            draft.rows = [trials[place] for place in chosen]
            yield from ([tokens[place] for place in chosen] for tokens in written)

    def _prompts(self, draft: Draft, *, with_lines: bool) -> list[list[int]]:
        texts = [
            self._template.render(
                draft.keywords,
                form=draft.form,
                rhyme=row.writing.pingshui_group,
                subject=draft.subject,
                lines=row.lines if with_lines else (),
            )
            for row in draft.rows
        ]
        return [self._tokenizer.encode(text) for text in texts]

    def _check_length(self, draft: Draft) -> None:
        form = draft.form
        whole = self._template.render(draft.keywords, form=form, lines=["一" * form.characters] * form.lines)
        needed = len(self._tokenizer.encode(whole))
        if needed > self._template.max_tokens:
            raise PromptTooLong(
                f"keywords and poem need {needed} tokens, poet {self.name} has {self._template.max_tokens}"
            )
