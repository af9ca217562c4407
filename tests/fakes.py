"""Small stand-ins for encoder, index and poet that keep their contracts and can be steered by a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fake_encoder import vector_of
from index_builder.index import Keyword, KeywordIndex
from models.batching import BatchStats
from models.choice import LineJudge
from models.continuous import StepStats
from models.drafting import PoemToken
from models.image import InvalidImage
from models.prompt import PromptTooLong
from models.prosody import Constraint, Form, LengthsOnly, Rules
from models.sampling import Sampling
from models.shared_engine import EngineStats
from server.catalog import Snapshot

WORDS = ("瀑布", "飞瀑", "扁舟", "孤舟", "明月", "故乡", "秋江", "断崖", "楼台", "湖光", "烟波", "夕阳")
CHARACTERS = "春江潮水连海平月共生滟随波千万里何处无明流宛转绕芳甸照花林皆似霰空中飞不觉汀上白沙看见"
PICTURE = b"a picture of a lake"
OTHER_PICTURE = b"a picture of a mountain"
BROKEN_PICTURE = b"broken"


class FakeEncoder:
    """Vectors by hash; pictures that begin with `broken` are refused, `defect` raises what no table knows."""

    name = "fake"
    fingerprint = "e" * 64
    dimension = 16
    providers = ("CPUExecutionProvider",)
    stats: Mapping[str, BatchStats] = {}

    def encode_pictures(self, pictures: Sequence[bytes]) -> np.ndarray:
        for data in pictures:
            if data.startswith(b"broken"):
                raise InvalidImage("picture: no image format that is read here")
            if data.startswith(b"defect"):
                raise ZeroDivisionError("secret detail")
        return np.stack([vector_of(data, self.dimension) for data in pictures])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([vector_of(text.encode(), self.dimension) for text in texts])


class FakeIndex(KeywordIndex):
    """Exact search over a dozen words."""

    encoder_fingerprint = FakeEncoder.fingerprint
    dimension = FakeEncoder.dimension
    kind = "flat"
    local = True

    def __init__(self, version: str = "index-1", words: Sequence[str] = WORDS) -> None:
        self.version = version
        self.keywords = tuple(words)
        self.count = len(words)
        self._vectors = FakeEncoder().encode_texts(words)

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = np.stack([self._vectors @ vector for vector in vectors])
        ids = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, ids, axis=1), ids

    def words(self, ids: Sequence[int]) -> list[str]:
        return [self.keywords[place] for place in ids]

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        return self._vectors[list(ids)]

    def diverse(self, vector: np.ndarray, k: int, **_: float) -> list[Keyword]:
        return self.nearest(vector, k)


class FakePoet:
    """Writes characters that follow from keywords, form and seed.

    Keywords that hold 长 make the prompt too long; 坏 breaks the poet after its fifth step.
    """

    architecture = "t5"
    fingerprint = "p" * 64
    forms: tuple[str, ...] = ("wujue", "qijue")
    subjects: tuple[str, ...] = ("送别", "春")
    providers = ("CPUExecutionProvider",)
    stats = EngineStats(BatchStats(), StepStats())

    def __init__(self, name: str = "t5") -> None:
        self.name = name
        self.steps = 0
        self.stopped: Callable[[], bool] = lambda: False
        self.ended = threading.Event()
        self.line_choices = 0
        self.judge: LineJudge | None = None
        self.sampling: Sampling | None = None

    def constraint(self, form: Form, rules: Rules) -> Constraint:
        """Keeps no rules."""
        return LengthsOnly(form, CHARACTERS, rules.fixed)

    def compose(
        self,
        keywords: Sequence[str],
        *,
        form: Form,
        sampling: Sampling,
        seed: int,
        stopped: Callable[[], bool],
        candidates: int = 1,
        line_choices: int = 1,
        judge: LineJudge | None = None,
        constraint: Constraint | None = None,
        subject: str | None = None,
        listener: object = None,
    ) -> Iterator[PoemToken]:
        if any("长" in keyword for keyword in keywords):
            raise PromptTooLong("keywords: too long for this poet")
        self.stopped = stopped
        self.line_choices, self.judge, self.sampling = line_choices, judge, sampling
        rows = [
            np.random.default_rng([seed, candidate, len("".join(keywords)), len(subject or "")])
            for candidate in range(candidates)
        ]
        try:
            for step in range(form.lines * form.characters):
                self.before_step()
                if stopped():
                    return
                self.steps += 1
                if step == 5 and any("坏" in keyword for keyword in keywords):
                    raise ZeroDivisionError("secret detail")
                line, position = divmod(step, form.characters)
                for candidate, row in enumerate(rows):
                    place = int(row.integers(len(CHARACTERS)))
                    yield PoemToken(
                        candidate=candidate,
                        line=line,
                        position=position,
                        id=place,
                        text=CHARACTERS[place],
                        log_probability=-1.0 - place / 100,
                    )
        finally:
            self.ended.set()

    def before_step(self) -> None:
        """What a slow poet waits for."""


class GatedPoet(FakePoet):
    """Takes a step only when it is let: the slowest poet there is."""

    def __init__(self, name: str = "t5") -> None:
        super().__init__(name)
        self._gate = threading.Semaphore(0)
        self.waiting = threading.Semaphore(0)

    def let(self, steps: int) -> None:
        self._gate.release(steps)

    def before_step(self) -> None:
        self.waiting.release()
        assert self._gate.acquire(timeout=30), "a test forgot the poet"


def snapshot(poets: Mapping[str, Any] | None = None, *, version: str = "index-1") -> Snapshot:
    """A whole snapshot of fakes; `t5` writes by default."""
    parts: Any = {
        "index": FakeIndex(version),
        "encoder": FakeEncoder(),
        "poets": poets or {"t5": FakePoet("t5"), "gpt2": FakePoet("gpt2")},
    }
    return Snapshot(**parts)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition comes true in time; for states of other threads that no event tells."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
