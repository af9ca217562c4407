"""Pictures and Chinese texts → unit vectors of one space, by the two ONNX towers of an encoder bundle."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort

from models import cores
from models.batching import Batcher, Batching, Heartbeat
from models.bundle import Bundle, CorruptArtifact
from models.image import ImageSpec, decode_image, to_pixels
from models.precision import graph_of
from models.session import open_session
from models.wordpiece import WordPiece

# One picture's activations stay in a CPU's caches: many in one run are no faster than one by one.
_PICTURES_AT_ONCE = {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 16}
_TEXTS_AT_ONCE = 256
_TOKENS_AT_ONCE = 4_096
# Of tokens: see models.sequences.GRAIN.
_GRAIN = 4


class Tokenizer(Protocol):
    def __call__(self, text: str) -> list[int]:
        """At least one token id for any text."""


class LongestMatch:
    """Greedy longest match over a vocabulary of words and characters; id 0 stands for anything unknown.

    `variants` maps characters (traditional forms, say) to those of the vocabulary; a text is read as far as
    `limit` tokens.
    """

    def __init__(
        self, tokens: Sequence[str], *, variants: Mapping[str, str] | None = None, limit: int = 512
    ) -> None:
        self._ids = {token: place for place, token in enumerate(tokens)}
        self._longest = max(map(len, tokens))
        self._variants = str.maketrans(dict(variants or {}))
        self._limit = limit

    @classmethod
    def from_bundle(cls, bundle: Bundle, facts: Mapping[str, Any]) -> LongestMatch:
        variants = {line[0]: line[1] for line in _lines(bundle, facts["variants"])}
        return cls(_lines(bundle, facts["vocabulary"]), variants=variants, limit=int(facts["limit"]))

    def __call__(self, text: str) -> list[int]:
        text = "".join(unicodedata.normalize("NFKC", text).split()).translate(self._variants)
        ids: list[int] = []
        start = 0
        while start < len(text) and len(ids) < self._limit:
            found, length = self._match(text, start)
            ids.append(found)
            start += length
        return ids or [0]

    def _match(self, text: str, start: int) -> tuple[int, int]:
        """The id of the longest token that begins at `start`, and its length."""
        for length in range(self._longest, 0, -1):
            found = self._ids.get(text[start : start + length])
            if found is not None:
                return found, min(length, len(text) - start)
        return 0, 1


_TOKENIZERS: dict[str, Callable[[Bundle, Mapping[str, Any]], Tokenizer]] = {
    "longest_match": LongestMatch.from_bundle,
    "wordpiece": WordPiece.from_bundle,
}


class Encoder:
    """An encoder bundle, opened.

    Attributes:
        name, fingerprint: the bundle's.
        dimension: D, the length of every vector.
        providers: the execution providers that are really active.
        stats: counters of the batches of `picture` and `text`; an item is what one request encodes at once.

    Safe for use by several threads at once: what they ask for at the same time is encoded in one run.
    """

    name: str
    fingerprint: str
    dimension: int
    providers: list[str]

    def __init__(
        self,
        bundle: Bundle,
        *,
        spec: ImageSpec,
        tokenizer: Tokenizer,
        image: ort.InferenceSession,
        text: ort.InferenceSession,
        batching: Batching | None = None,
        single: Callable[[], ort.InferenceSession] | None = None,
        workers: int = 1,
    ) -> None:
        """Where one call brings several pictures, `workers` threads share what `single` opens: the image
        tower with one thread a run."""
        self.name = bundle.name
        self.fingerprint = bundle.fingerprint
        self.dimension = int(bundle.manifest["dimension"])
        self.providers = image.get_providers()
        self._spec = spec
        self._tokenizer = tokenizer
        self._image = image
        self._text = text
        self._open_single = single
        self._workers = workers
        limits = batching or Batching()
        self._pictures = Batcher(
            self._run_pictures,
            max_batch=limits.max_pictures or _PICTURES_AT_ONCE[self.providers[0]],
            max_wait_us=limits.max_wait_us,
        )
        self._texts = Batcher(self._run_texts, max_batch=limits.max_batch, max_wait_us=limits.max_wait_us)
        self.stats = {"picture": self._pictures.stats, "text": self._texts.stats}

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        provider: str = "cpu",
        threads: int = 0,
        int8: bool = True,
        batching: Batching | None = None,
    ) -> Encoder:
        """Open both towers; with `int8` pictures go through eight bits where bundle and processor can.

        Raises CorruptArtifact for a manifest that describes no encoder that is known here,
        ProviderUnavailable for a provider that is not active.
        """
        try:
            facts = bundle.manifest["tokenizer"]
            tokenizer = _TOKENIZERS[facts["type"]](bundle, facts)
            spec = ImageSpec.from_manifest(bundle.manifest["image"])
        except (LookupError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{bundle.path}: not an encoder's manifest: {error!r}") from error
        pictures = graph_of(bundle, "image", provider=provider, int8=int8)
        workers = (threads or cores.available()) if provider == "cpu" else 1
        return cls(
            bundle,
            spec=spec,
            tokenizer=tokenizer,
            image=open_session(pictures, provider=provider, threads=threads),
            text=open_session(bundle.file("text.onnx"), provider=provider, threads=threads),
            batching=batching,
            single=partial(open_session, pictures, threads=1) if workers > 1 else None,
            workers=workers,
        )

    def encode_pictures(self, pictures: Sequence[bytes]) -> np.ndarray:
        """float32 (N, D), unit rows, of picture files. Raises InvalidImage.

        Several at once are encoded side by side on a CPU, one thread each: a picture's activations then stay
        in the cache of its core. The first such call opens the image tower a second time.
        """
        return self._encode(pictures, self._decode)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The same of pixels that `to_pixels` made, float32 (N, 3, V · size, size)."""
        return self._encode(list(pixels), np.asarray)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (N, D), unit rows, of any texts; unknown characters count for nothing beside known ones."""
        return self._texts([self._tokenizer(text) for text in texts])

    def heartbeat(self) -> Heartbeat:
        """For a watchdog: of the run that has gone on for longest."""
        beats = (self._pictures.heartbeat(), self._texts.heartbeat())
        return max(beats, key=lambda beat: beat.seconds)

    def _encode(self, pictures: Sequence[Any], pixels: Callable[[Any], np.ndarray]) -> np.ndarray:
        # Each caller decodes its own, in its own thread: a broken file concerns nobody else.
        if len(pictures) > 1 and self._workers > 1:
            run = self._single.run
            with ThreadPoolExecutor(min(self._workers, len(pictures))) as pool:
                batches = list(pool.map(lambda one: run(None, {"pixels": pixels(one)[None]})[0], pictures))
        else:
            at_once = _PICTURES_AT_ONCE[self.providers[0]]
            batches = [self._pictures([*map(pixels, some)]) for some in _batches(pictures, at_once)]
        return np.concatenate(batches) if batches else np.empty((0, self.dimension), np.float32)

    def _decode(self, picture: bytes) -> np.ndarray:
        return to_pixels(decode_image(picture, draft=self._spec.size), self._spec)

    @cached_property
    def _single(self) -> ort.InferenceSession:
        return self._open_single() if self._open_single else self._image

    def _run_pictures(self, requests: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        pixels = [picture for request in requests for picture in request]
        together = pixels[0][None] if len(pixels) == 1 else np.stack(pixels)
        return _apart(self._image.run(None, {"pixels": together})[0], requests)

    def _run_texts(self, requests: Sequence[Sequence[Sequence[int]]]) -> list[np.ndarray]:
        rows = [row for request in requests for row in request]
        vectors = np.empty((len(rows), self.dimension), np.float32)
        for batch in _alike(rows):
            vectors[batch] = self._encode_rows([rows[place] for place in batch])
        return _apart(vectors, requests)

    def _encode_rows(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        ids = np.zeros((len(rows), _padded(rows[0])), np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return self._text.run(None, {"ids": ids, "mask": mask})[0]


def _apart(vectors: np.ndarray, requests: Sequence[Sequence[Any]]) -> list[np.ndarray]:
    """To each request its own rows."""
    return np.split(vectors, np.cumsum([len(request) for request in requests])[:-1])


def _padded(row: Sequence[int]) -> int:
    """The length that a row is padded to, whatever stands beside it: its vector is the same in any batch."""
    return -(-len(row) // _GRAIN) * _GRAIN


def _alike(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of the rows in batches of one padded length, none of them large."""
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(_padded(row), []).append(place)
    for length, alike in places.items():
        yield from _batches(alike, min(_TEXTS_AT_ONCE, max(1, _TOKENS_AT_ONCE // length)))


def _batches(items: Sequence[Any], size: int) -> Iterable[Any]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _lines(bundle: Bundle, name: str) -> list[str]:
    return bundle.file(name).read_text(encoding="utf-8").removesuffix("\n").split("\n")
