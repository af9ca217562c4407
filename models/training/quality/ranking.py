"""Whether a poet knows the line that follows, in the manner of CCPM (Li et al. 2021): the right one of four.

The poet is given the first lines of a person's poem, and what a server would give: the form, the keywords of
the whole poem, and the rhyme group once the lines given have one. It is to find the next line

- among shuffled ones: itself, and its own characters in three random orders;
- among others: itself, and the lines at the same place of three other poems of the form, drawn at random.

Its choice is the likeliest line. Lines of other poems differ much in likelihood whatever stands before them,
as some have rare characters: so it is also asked which line gains most in log likelihood over the bare form
as prompt, without keywords and first lines. Chance is right one time in four.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.bundle import Bundle
from models.engine import Engine, open_engine
from models.prompt import PromptTemplate, select_keywords
from models.prosody import Form
from models.sampling import log_softmax
from models.tokenizer import CharacterTokenizer
from models.training.quality.prompts import Prompt
from models.training.rhymes import rhyme_of

WRONG = 3
# Questions of seven lines that are read together.
_BATCH = 12


@dataclass(frozen=True, kw_only=True)
class Question:
    """What follows the lines `given`? `lines` holds the answer, then its shuffled forms, then other lines."""

    form: Form
    given: tuple[str, ...]
    keywords: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Shares of questions answered rightly; `gain`: among others, by what context adds."""

    shuffled: float
    others: float
    gain: float


def questions(prompts: Sequence[Prompt], *, seed: int = 0) -> list[Question]:
    """One question from each prompt's poem, all of one form; none where there are fewer than four."""
    if len(prompts) <= WRONG:
        return []
    rng = random.Random(seed)
    asked = []
    for prompt in prompts:
        poem = prompt.person
        place = rng.randrange(1, len(poem.lines))
        others = [other.person for other in rng.sample(prompts, WRONG + 1) if other is not prompt][:WRONG]
        answer = poem.lines[place]
        shuffled = (_shuffled(answer, rng) for _ in range(WRONG))
        asked.append(
            Question(
                form=prompt.form,
                given=poem.lines[:place],
                keywords=prompt.keywords,
                lines=(answer, *shuffled, *(other.lines[place] for other in others)),
            )
        )
    return asked


def ranking(bundle: Bundle, asked: Sequence[Question], *, threads: int = 0) -> Ranking:
    """The poet's answers. Ties are wrong."""
    reader = _Reader(bundle, threads)
    likely = reader.log_probabilities(asked)
    alone = reader.log_probabilities(asked, with_context=False)
    others = [0, *range(1 + WRONG, 1 + 2 * WRONG)]
    return Ranking(
        shuffled=_right(likely[:, : 1 + WRONG]),
        others=_right(likely[:, others]),
        gain=_right((likely - alone)[:, others]),
    )


class _Reader:
    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
        self._template = PromptTemplate.from_manifest(bundle.manifest)
        self._engine = open_engine(bundle, threads=threads)

    def log_probabilities(self, asked: Sequence[Question], *, with_context: bool = True) -> np.ndarray:
        """Natural logarithm, float32 (N, 7), of each of N questions' lines."""
        prompts = [self._prompt(question, with_context=with_context) for question in asked]
        # GPT2 reads prompts of one length together.
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, (question, prompt) in enumerate(zip(asked, prompts, strict=True)):
            alike[question.form.characters, len(prompt)].append(place)
        found = np.empty((len(asked), 1 + 2 * WRONG), dtype=np.float32)
        for places in alike.values():
            for start in range(0, len(places), _BATCH):
                some = places[start : start + _BATCH]
                lines = [[self._tokenizer.encode(line) for line in asked[place].lines] for place in some]
                found[some] = _read(self._engine, [prompts[place] for place in some], np.array(lines))
        return found

    def _prompt(self, question: Question, *, with_context: bool) -> list[int]:
        form = question.form
        if not with_context:
            return self._tokenizer.encode(self._template.render([], form=form))
        text = self._template.render(
            select_keywords(question.keywords, form),
            form=form,
            rhyme=rhyme_of(question.given),
            lines=question.given,
        )
        return self._tokenizer.encode(text)


def _read(engine: Engine, prompts: Sequence[Sequence[int]], lines: np.ndarray) -> np.ndarray:
    """Log probabilities, float32 (N, M), of M lines after each of N prompts; `lines` int64 (N, M, C)."""
    count, among, length = lines.shape
    ids = lines.reshape(-1, length)
    decoding = engine.begin([prompt for prompt in prompts for _ in range(among)])
    rows, total = np.arange(len(ids)), np.zeros(len(ids), dtype=np.float32)
    for place in range(length):
        if place:
            decoding.step(ids[:, place - 1 : place])
        total += log_softmax(decoding.logits)[rows, ids[:, place]]
    return total.reshape(count, among)


def _right(scores: np.ndarray) -> float:
    """Share of rows, (N, 4), whose first score is above the others."""
    return float((scores[:, 0] > scores[:, 1:].max(axis=1)).mean())


def _shuffled(line: str, rng: random.Random) -> str:
    """The characters in another order, but for a line of hardly more than one character."""
    for _ in range(20):
        shuffled = "".join(rng.sample(line, len(line)))
        if shuffled != line:
            break
    return shuffled
