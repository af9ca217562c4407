"""A poet: keywords and a form in, characters out, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from threading import Lock

import numpy as np

from models.batching import Batching
from models.bundle import Bundle, CorruptArtifact
from models.choice import LineJudge
from models.drafting import Draft, LinesTask, PoemToken, Row
from models.engine import Engine, open_engine
from models.fusion import Fusion
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
from models.sequences import Sequences
from models.shared_engine import SharedEngine
from models.tasks import Listener, Progress
from models.tokenizer import EOS, CharacterTokenizer
from models.wishes import BONUS, Bonus, Wishes


class Poet:
    """A T5 or GPT2 bundle, opened. Safe for use by several threads at once.

    Attributes:
        name: as in the bundle's manifest.
        architecture: `t5` or `gpt2`.
        fingerprint: the bundle's.
        forms: names of the forms that it was trained to write.
        subjects: names of the subjects that it was taught, e.g. 送别.
        providers: the execution providers that are really active.
        stats: counters of what its engine did, only ever growing.
        heartbeat: called, says how its engine fares.
    """

    def __init__(self, bundle: Bundle, engine: Engine, *, batching: Batching, fused: bool) -> None:
        manifest = bundle.manifest
        self.name: str = bundle.name
        self.architecture: str = manifest["architecture"]
        self.fingerprint = bundle.fingerprint
        self.forms: tuple[str, ...] = tuple(name for name in FORMS if name in manifest["prompt"]["forms"])
        self.providers = engine.providers
        self._tokenizer = CharacterTokenizer.read(bundle.file(manifest["tokenizer"]["vocabulary"]))
        self._template = PromptTemplate.from_manifest(manifest)
        self.subjects = tuple(self._template.subjects)
        self._line_end = self._tokenizer.id_of(EOS)
        fusion = Fusion.of(bundle, line_start=self._line_end) if fused else None
        self._engine = SharedEngine(engine, batching, None if fusion is None else fusion.fuse)
        self.stats = self._engine.stats
        self.heartbeat = self._engine.heartbeat
        self._lexicons: dict[str, Lexicon] = {}
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        provider: str = "cpu",
        threads: int = 0,
        int8: bool = True,
        batching: Batching | None = None,
        fused: bool = True,
    ) -> Poet:
        """Open a poet bundle. Raises CorruptArtifact, ProviderUnavailable.

        With `int8` it computes in eight bits where the bundle and the processor can (`models.precision`).
        Without `fused` the model writes alone, whatever n-gram model its bundle holds.
        """
        try:
            engine = open_engine(bundle, provider=provider, threads=threads, int8=int8)
            return cls(bundle, engine, batching=batching or Batching(), fused=fused)
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
        bonus: Bonus = BONUS,
        stopped: Callable[[], bool] = lambda: False,
        listener: Callable[[Sequence[PoemToken]], None] | None = None,
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
            bonus: what makes keywords likelier.
            stopped: asked before each decoder step; when true the poems end where they are.
            listener: where lines are not chosen, is told the characters of a position as soon as they are
                drawn, by the engine's thread; the iterator then gives them line by line.

        Returns an iterator of characters: for each line and position one of each candidate. Those that the
        listener was told come too, in the same order.

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
        chosen = select_keywords(keywords, form)
        draft = Draft(
            keywords=chosen,
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
                wishes=Wishes(chosen, self._tokenizer, length=form.characters, bonus=bonus),
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
        return self._write(draft, stopped, listener)

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

    def _write(
        self, draft: Draft, stopped: Callable[[], bool], listener: Listener | None
    ) -> Iterator[PoemToken]:
        """T5's encoder reads keywords and the lines so far, and its decoder writes the next line; GPT2 goes
        on with what it has read, without a stop where nothing is chosen."""
        if self.architecture == "t5":
            yield from self._write_by_line(draft, stopped, listener)
            return
        sequences = self._engine.read(self._prompts(draft, with_lines=False))
        if draft.line_choices == 1:
            yield from _told(self._begin(draft, draft.rows, sequences, stopped, listener, draft.form.lines))
            return
        for line in range(draft.form.lines):
            progress, chosen = yield from self._chosen(draft, sequences, line, stopped)
            if progress.sequences is None:
                return
            ends = [[row.ids[-1], self._line_end] for row in draft.rows]
            sequences = progress.sequences.take(chosen).reading(ends)

    def _write_by_line(
        self, draft: Draft, stopped: Callable[[], bool], listener: Listener | None
    ) -> Iterator[PoemToken]:
        for line in range(draft.form.lines):
            if stopped():
                return
            sequences = self._engine.read(self._prompts(draft, with_lines=True))
            if draft.line_choices == 1:
                progress = self._begin(draft, draft.rows, sequences, stopped, listener)
                yield from _told(progress)
            else:
                progress, _ = yield from self._chosen(draft, sequences, line, stopped)
            if not progress.finished:
                return

    def _chosen(
        self, draft: Draft, sequences: Sequences, line: int, stopped: Callable[[], bool]
    ) -> Generator[PoemToken, None, tuple[Progress, list[int]]]:
        """One line of every candidate, chosen of several; returns which rows of the task go on."""
        trials = draft.trials(line)
        among = np.repeat(np.arange(len(draft.rows)), draft.line_choices)
        progress = self._begin(draft, trials, sequences.take(among), stopped)
        written = list(progress)
        if not progress.finished:
            return progress, []
        chosen = draft.choose(trials, written)
        draft.rows = [trials[place] for place in chosen]
        for tokens in written:
            yield from (tokens[place] for place in chosen)
        return progress, chosen

    def _begin(
        self,
        draft: Draft,
        rows: Sequence[Row],
        sequences: Sequences,
        stopped: Callable[[], bool],
        listener: Listener | None = None,
        lines: int = 1,
    ) -> Progress:
        last = len(rows[0].lines) + lines == draft.form.lines
        task = LinesTask(
            rows,
            form=draft.form,
            guide=draft.guide,
            sampling=draft.sampling,
            tokenizer=self._tokenizer,
            stopped=stopped,
            lines=lines,
            goes_on=self.architecture != "t5" and not last,
        )
        return self._engine.submit(task, sequences, listener)

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


def _told(progress: Progress) -> Iterator[PoemToken]:
    for tokens in progress:
        yield from tokens
