"""A poet: keywords and a form in, characters out, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.bundle import Bundle, CorruptArtifact
from models.engine import Decoding, open_engine
from models.prompt import PromptTemplate, PromptTooLong, select_keywords
from models.prosody import FORMS, CharactersOnly, Constraint, Form
from models.sampling import InvalidOption, Sampler, Sampling
from models.tokenizer import EOS, CharacterTokenizer


@dataclass(frozen=True, kw_only=True)
class PoemToken:
    """One Chinese character of one candidate.

    Attributes:
        candidate, line, position: where it stands, all from 0.
        id: its token id.
        text: the character.
        log_probability: natural logarithm, under the model at temperature 1, before any constraint.
    """

    candidate: int
    line: int
    position: int
    id: int
    text: str
    log_probability: float


class Poet:
    """A T5 or GPT2 bundle, opened. Safe for use by several threads at once.

    Attributes:
        name: as in the bundle's manifest.
        architecture: `t5` or `gpt2`.
        fingerprint: the bundle's.
        forms: names of the forms that it was trained to write.
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
        self._characters = CharactersOnly(self._tokenizer.vocabulary)
        self._line_end = self._tokenizer.id_of(EOS)

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
        candidates: int = 1,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[PoemToken]:
        """Write `candidates` poems side by side.

        Args:
            keywords: best first; the first ones, at most one a line, go into the prompt.
            form: one of `forms`.
            sampling: how characters are drawn.
            seed: the same seed and arguments give the same poems on one machine and bundle.
            candidates: number of poems, at least 1.
            stopped: asked before each decoder step; when true the poems end where they are.

        Returns an iterator of characters: for each line and position one of each candidate.

        Raises (at the call, not in the iterator):
            InvalidOption: the form is not one of `forms`, or the seed is out of range.
            PromptTooLong: prompt and poem need more tokens than the model has places for.
        """
        if form.name not in self.forms:
            raise InvalidOption(f"poet {self.name} writes {', '.join(self.forms)}, not {form.name}")
        draft = _Draft(
            keywords=select_keywords(keywords, form),
            form=form,
            sampler=Sampler(sampling, seed=seed, rows=candidates),
            constraint=self._characters,
            lines=[[""] for _ in range(candidates)],
        )
        self._check_length(draft)
        write = self._write_by_line if self.architecture == "t5" else self._write_through
        return write(draft, stopped)

    def _write_through(self, draft: _Draft, stopped: Callable[[], bool]) -> Iterator[PoemToken]:
        """GPT2: one sequence from the prompt to the poem's end."""
        if stopped():
            return
        decoding = self._engine.begin(self._prompts(draft, []))
        for line in range(draft.form.lines):
            yield from self._write_line(draft, decoding, line, stopped)
            if stopped():
                return

    def _write_by_line(self, draft: _Draft, stopped: Callable[[], bool]) -> Iterator[PoemToken]:
        """T5: the encoder reads keywords and lines so far, the decoder writes the next line."""
        for line in range(draft.form.lines):
            if stopped():
                return
            decoding = self._engine.begin(self._prompts(draft, [written[:-1] for written in draft.lines]))
            yield from self._write_line(draft, decoding, line, stopped)

    def _write_line(
        self, draft: _Draft, decoding: Decoding, line: int, stopped: Callable[[], bool]
    ) -> Iterator[PoemToken]:
        """Write one line of every candidate; at its end `decoding` has read all but the last character."""
        last = draft.form.characters - 1
        for position in range(draft.form.characters):
            if position and stopped():
                return
            ids, log_probabilities = draft.draw(decoding.logits, line, position)
            for candidate, (index, value) in enumerate(zip(ids, log_probabilities, strict=True)):
                text = self._tokenizer.vocabulary[index]
                draft.lines[candidate][-1] += text
                yield PoemToken(
                    candidate=candidate,
                    line=line,
                    position=position,
                    id=int(index),
                    text=text,
                    log_probability=float(value),
                )
            if position < last:
                decoding.step(ids[:, None])
        for written in draft.lines:
            written.append("")
        if self.architecture != "t5" and line + 1 < draft.form.lines:
            decoding.step(np.stack([ids, np.full_like(ids, self._line_end)], axis=1))

    def _prompts(self, draft: _Draft, lines: Sequence[Sequence[str]]) -> list[list[int]]:
        written = lines or [[] for _ in draft.lines]
        texts = [self._template.render(draft.keywords, form=draft.form, lines=part) for part in written]
        return [self._tokenizer.encode(text) for text in texts]

    def _check_length(self, draft: _Draft) -> None:
        form = draft.form
        whole = self._template.render(draft.keywords, form=form, lines=["一" * form.characters] * form.lines)
        needed = len(self._tokenizer.encode(whole))
        if needed > self._template.max_tokens:
            raise PromptTooLong(
                f"keywords and poem need {needed} tokens, poet {self.name} has {self._template.max_tokens}"
            )


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """Poems being written; `lines[candidate]` ends with the unfinished line."""

    keywords: list[str]
    form: Form
    sampler: Sampler
    constraint: Constraint
    lines: list[list[str]]

    def draw(self, logits: np.ndarray, line: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids int64 (N,) and log probabilities float32 (N,) for the next character of every candidate."""
        masks = [self.constraint.allowed(line, position, written) for written in self.lines]
        return self.sampler.draw(logits, np.stack(masks))
