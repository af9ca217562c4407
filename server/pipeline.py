"""From a wish to keywords, and from keywords to the events of a poem. Synchronous, and without gRPC.

One call runs in one worker thread from its first stage to its last, so that a character costs no change
of thread before it is handed on.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from index_builder.index import Keyword
from models.choice import LineJudge
from models.drafting import PoemToken
from models.poet import Poet
from models.prompt import distinct_keywords
from models.prosody import FORMS, Constraint, Form
from models.sampling import InvalidOption
from server.catalog import Snapshot
from server.events import Event, Finished, Found, Line, Retrieved, Timings
from server.ranking import Draft, rank
from server.request import Composition, Embedding, Lookup, Picture, Text, Words

# Exact search compares about ten of them in a nanosecond.
_QUICK_VALUES = 8_000_000
# Below it float32 loses digits of a sum of squares.
_SMALL_SQUARE = 1e-20


class Clock:
    """Times the stages of one request, from its arrival, which is now, on.

    Attributes:
        laps: (stage, began, ended) of the stages that ended, in seconds of `time.perf_counter`.
    """

    def __init__(self) -> None:
        self.laps: list[tuple[str, float, float]] = []
        self._arrived = time.perf_counter()
        self._lap = self._arrived
        self._stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End a stage, which began where the last one ended."""
        now = time.perf_counter()
        self._stages[stage] = (now - self._lap) * 1000
        self.laps.append((stage.removesuffix("_ms"), self._lap, now))
        self._lap = now

    def since_arrival(self, stage: str) -> None:
        """Note how long after the arrival this moment is, without ending a stage; the first call counts."""
        self._stages.setdefault(stage, (time.perf_counter() - self._arrived) * 1000)

    def timings(self) -> Timings:
        self.since_arrival("total_ms")
        return Timings(**self._stages)


def is_quick(snapshot: Snapshot, wish: Lookup) -> bool:
    """Whether a lookup is a search of well below a millisecond and nothing else."""
    index = snapshot.index
    small = index.local and index.kind == "flat" and index.count * index.dimension <= _QUICK_VALUES
    return small and isinstance(wish.source, Embedding)


def lookup(snapshot: Snapshot, wish: Lookup, *, clock: Clock | None = None) -> Found:
    """The keywords nearest to a picture, a text or a vector.

    Raises InvalidImage, or InvalidOption for a vector that does not fit the encoder.
    """
    clock = clock or Clock()
    clock.lap("queue_ms")
    vector = embed(snapshot, wish.source)
    clock.lap("encode_ms")
    keywords = tuple(snapshot.index.nearest(vector, wish.top_k))
    clock.lap("search_ms")
    return Found(keywords=keywords, index_version=snapshot.index.version, timings=clock.timings())


def compose(
    snapshot: Snapshot,
    wish: Composition,
    *,
    line_similarity: bool = True,
    clock: Clock | None = None,
    stopped: Callable[[], bool] = lambda: False,
    tell: Callable[[PoemToken | Line], None] | None = None,
) -> Iterator[Event]:
    """The events of a poem as they are made: Retrieved, Token and Line, Finished.

    `line_similarity`: whether lines are chosen by their similarity to the source too. Tokens and lines that
    `tell` is told, by the poet's own thread, before the iterator would come to them, are left out there.
    Ends early, without Finished, within one decoding step once `stopped` says so. Raises ImpossibleRules,
    InvalidImage, InvalidOption, PromptTooLong or UnknownModel before the first token.
    """
    clock = clock or Clock()
    clock.lap("queue_ms")
    name, poet = snapshot.poet_named(wish.poet)
    form = choose_form(name, poet, wish.form)
    check_subject(name, poet, wish.subject)
    rules = wish.rules.rules_for(form)
    constraint = poet.constraint(form, rules)
    chosen_by_query = line_similarity and wish.line_choices > 1
    # Keywords need no vector before the poem is ranked: it would keep the first character waiting.
    query = embed(snapshot, wish.source) if chosen_by_query or not isinstance(wish.source, Words) else None
    clock.lap("encode_ms")
    keywords = _keywords(snapshot, wish, query)
    clock.lap("search_ms")
    yield Retrieved(keywords=keywords, index_version=snapshot.index.version)

    judge = LineJudge(query=query, encode=snapshot.encoder.encode_texts) if chosen_by_query else LineJudge()
    drafts = [Draft(form, rules.rhymes) for _ in range(wish.candidates)]
    ahead = _Ahead(tell, clock, form)
    for event in _write(poet, wish, keywords, form, constraint, judge, drafts, stopped, ahead):
        clock.since_arrival("first_token_ms")
        yield event
    if stopped():
        return
    clock.lap("write_ms")

    if query is None:
        query = embed(snapshot, wish.source)
    candidates, best = rank(drafts, query, snapshot.encoder, snapshot.sources)
    clock.lap("rank_ms")
    yield Finished(
        candidates=candidates,
        best_candidate=best,
        keywords=keywords,
        index_version=snapshot.index.version,
        poet=name,
        form=form,
        seed=wish.seed,
        timings=clock.timings(),
    )


def embed(snapshot: Snapshot, source: Picture | Text | Words | Embedding) -> np.ndarray:
    """The source's unit vector (D,) float32, of words their mean's. Raises InvalidImage or InvalidOption."""
    vector: np.ndarray
    match source:
        case Picture(data=data):
            [vector] = snapshot.encoder.encode_pictures([data])
        case Text(text=text):
            [vector] = snapshot.encoder.encode_texts([text])
        case Words(words=words):
            vector = _mean(snapshot.encoder.encode_texts(words))
        case Embedding(values=values):
            vector = _unit(values, snapshot.encoder.dimension)
    return vector


def choose_form(name: str, poet: Poet, form: Form | None) -> Form:
    """The form to write: the one asked for, else 七绝, else the poet's first. Raises InvalidOption."""
    if form is None:
        return FORMS["qijue" if "qijue" in poet.forms else poet.forms[0]]
    if form.name not in poet.forms:
        raise InvalidOption(f"form: {name} writes {', '.join(poet.forms)}, not {form.name}")
    return form


def check_subject(name: str, poet: Poet, subject: str) -> None:
    """Raises InvalidOption for a subject that the poet was not taught."""
    if subject and subject not in poet.subjects:
        raise InvalidOption(f"subject: {name} knows {', '.join(poet.subjects) or 'none'}, not {subject}")


def _keywords(snapshot: Snapshot, wish: Composition, query: np.ndarray | None) -> tuple[Keyword, ...]:
    if isinstance(wish.source, Words):
        return tuple(Keyword(text=word, score=0.0) for word in wish.source.words)
    assert query is not None
    return tuple(snapshot.index.diverse(query, wish.top_k))


class _Ahead:
    """Tells tokens and lines as the poet draws them, past the thread that writes the poem.

    Attributes:
        listener: for the poet; None where nobody is to be told.
        told: how many tokens were told.
    """

    def __init__(self, tell: Callable[[PoemToken | Line], None] | None, clock: Clock, form: Form) -> None:
        self.listener = None if tell is None else self._hear
        self.told = 0
        self._tell = tell
        self._clock = clock
        self._form = form
        self._begun: defaultdict[int, str] = defaultdict(str)

    def _hear(self, tokens: Sequence[PoemToken]) -> None:
        assert self._tell is not None
        self._clock.since_arrival("first_token_ms")
        for token in tokens:
            self._tell(token)
            text = self._begun[token.candidate] = self._begun[token.candidate] + token.text
            if len(text) == self._form.characters:
                self._tell(Line(candidate=token.candidate, line=token.line, text=text))
                del self._begun[token.candidate]
        self.told += len(tokens)


def _write(
    poet: Poet,
    wish: Composition,
    keywords: tuple[Keyword, ...],
    form: Form,
    constraint: Constraint,
    judge: LineJudge,
    drafts: list[Draft],
    stopped: Callable[[], bool],
    ahead: _Ahead,
) -> Iterator[PoemToken | Line]:
    """Write all candidates into `drafts`, and say what was not said `ahead`, character by character."""
    words = [keyword.text for keyword in keywords]
    tokens = poet.compose(
        words if isinstance(wish.source, Words) else distinct_keywords(words),
        form=form,
        sampling=wish.sampling,
        seed=wish.seed,
        constraint=constraint,
        subject=wish.subject or None,
        candidates=wish.candidates,
        line_choices=wish.line_choices,
        judge=judge,
        stopped=stopped,
        listener=ahead.listener,
    )
    for number, token in enumerate(tokens):
        draft = drafts[token.candidate]
        draft.add(token.line, token.text, token.log_probability)
        if number >= ahead.told:
            yield token
            if token.position == form.characters - 1:
                yield Line(candidate=token.candidate, line=token.line, text=draft.lines[token.line])


def _unit(values: object, dimension: int) -> np.ndarray:
    vector = np.asarray(values, dtype=np.float32)
    if vector.shape != (dimension,):
        raise InvalidOption(f"vector: must have {dimension} values, not {vector.size}")
    square = float(np.vdot(vector, vector))
    if _SMALL_SQUARE < square < math.inf:
        return vector / math.sqrt(square)
    # It vanished or overflowed, perhaps in float32 alone.
    wide = vector.astype(np.float64)
    norm = math.sqrt(wide @ wide)
    if not math.isfinite(norm) or norm == 0.0:
        raise InvalidOption("vector: must be finite and not all zero")
    return (wide / norm).astype(np.float32)


def _mean(vectors: np.ndarray) -> np.ndarray:
    """The direction of the mean of unit rows (N, D), as a unit vector (D,)."""
    mean: np.ndarray = vectors.mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    return mean
