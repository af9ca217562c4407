"""Token ids in, logits out: ONNX decoders with a key-value cache. The engine knows no text.

Tensor names: `past.{i}.key` and `past.{i}.value` go in, `present.{i}.key` and `present.{i}.value` come
out, float32 (N, heads, T, head width); `cross.{i}.*` are a T5 encoder's, computed once for a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import onnxruntime as ort

from models.bundle import Bundle, CorruptArtifact
from models.sequences import Sequences, padded
from models.session import open_session
from models.window import Run, Window


class Decoding(Protocol):
    """N sequences being written in step."""

    logits: np.ndarray
    """float32 (N, V): for the token that follows what was read last."""

    def step(self, ids: np.ndarray) -> None:
        """Read int64 (N, T) more tokens of each sequence and renew `logits`."""

    def select(self, rows: Sequence[int] | np.ndarray) -> None:
        """Go on with these sequences, int64 (M,); one may be taken several times, or left out."""


class Engine(Protocol):
    """A decoder that begins sequences from prompts."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        """Read N prompts, of one length for GPT2; `logits` is then for the first token to write."""

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """Read N prompts for a `Window`: all of them, but for what is then pending."""

    def window(self) -> Window:
        """A batch for sequences that were read here."""

    @property
    def providers(self) -> list[str]:
        """The execution providers that are really active."""


def open_engine(bundle: Bundle, *, provider: str = "cpu", threads: int = 0) -> Engine:
    """The engine of a poet bundle. Raises CorruptArtifact for an unknown architecture."""
    decoder = open_session(bundle.file("decoder.onnx"), provider=provider, threads=threads)
    even = bundle.manifest.get("precision", {}).get("computed") == "int8"
    match bundle.manifest.get("architecture"):
        case "gpt2":
            return CausalEngine(decoder, even_rows=even)
        case "t5":
            encoder = open_session(bundle.file("encoder.onnx"), provider=provider, threads=threads)
            start = bundle.manifest["decoder_start_id"]
            return EncoderDecoderEngine(encoder, decoder, start_id=start, even_rows=even)
        case other:
            raise CorruptArtifact(f"{bundle.path}: unknown architecture {other!r}")


class CausalEngine:
    """GPT2: the prompt goes through the decoder itself."""

    def __init__(self, decoder: ort.InferenceSession, *, even_rows: bool = False) -> None:
        """`even_rows` is as in Window."""
        self._decoder = decoder
        self._even_rows = even_rows
        self.providers = decoder.get_providers()

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        read, begun = _to_read(prompts)
        return _spread(_CausalDecoding(self._decoder, np.array(read, dtype=np.int64), {}), begun)

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """Into the cache, all but the last token; the prompts may differ in length here."""
        different, begun = _to_read(prompts)
        heads = [prompt[:-1] for prompt in different]
        lengths = np.array([len(head) for head in heads])
        caches = self._prefill(heads) if lengths.max() else {}
        pending = tuple((different[place][-1],) for place in begun)
        return Sequences(np.array(begun), lengths[begun], caches, {}, pending)

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
        ids, mask = padded(prompts, left=True)
        feeds = {"input_ids": ids, "mask": mask, "position_ids": np.maximum(mask.cumsum(axis=1) - 1, 0)}
        for name, (heads, width) in _caches(self._decoder).items():
            feeds[name] = np.zeros((len(ids), heads, 0, width), dtype=np.float32)
        present = _runner(self._decoder)(feeds)
        del present["logits"]
        return present

    def window(self) -> Window:
        return Window(_runner(self._decoder), _caches(self._decoder), positions=True, even=self._even_rows)


class EncoderDecoderEngine:
    """T5: the encoder reads the prompt, the decoder writes from a start token."""

    def __init__(
        self,
        encoder: ort.InferenceSession,
        decoder: ort.InferenceSession,
        *,
        start_id: int,
        even_rows: bool = False,
    ) -> None:
        """`even_rows` is as in Window."""
        self._even_rows = even_rows
        self._encoder = encoder
        self._decoder = decoder
        self._start_id = start_id
        self.providers = decoder.get_providers()

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        """As `Engine.begin`; here the prompts may differ in length."""
        read, begun = _to_read(prompts)
        ids, mask = _padded(read)
        values = self._encoder.run(None, {"input_ids": ids, "mask": mask})
        cross = {
            output.name: value for output, value in zip(self._encoder.get_outputs(), values, strict=True)
        }
        start = np.full((len(read), 1), self._start_id, dtype=np.int64)
        return _spread(_CachedDecoding(self._decoder, start, {**cross, "source_mask": mask}), begun)

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """By the encoder; the start token is pending."""
        different, begun = _to_read(prompts)
        ids, mask = padded(different)
        names = [output.name for output in self._encoder.get_outputs()]
        values = self._encoder.run(names, {"input_ids": ids, "mask": mask})
        fixed = {**dict(zip(names, values, strict=True)), "source_mask": mask}
        lengths = np.zeros(len(begun), dtype=np.int64)
        return Sequences(np.array(begun), lengths, {}, fixed, ((self._start_id,),) * len(begun))

    def window(self) -> Window:
        return Window(_runner(self._decoder), _caches(self._decoder), positions=False, even=self._even_rows)


def _caches(decoder: ort.InferenceSession) -> dict[str, tuple[int, int]]:
    """Heads and head width of each cache that the decoder takes."""
    inputs = [entry for entry in decoder.get_inputs() if entry.name.startswith("past.")]
    return {entry.name: (entry.shape[1], entry.shape[3]) for entry in inputs}


def _runner(decoder: ort.InferenceSession) -> Run:
    """A step: `logits`, and the caches by the names under which the next step takes them."""
    outputs = [output.name for output in decoder.get_outputs()]
    names = [name.replace("present.", "past.") for name in outputs]

    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, decoder.run(outputs, feeds), strict=True))

    return run


def _to_read(prompts: Sequence[Sequence[int]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The different prompts, and for each sequence the number of its own.

    Candidates of one request mostly share their prompt: it is read once.
    """
    number: dict[tuple[int, ...], int] = {}
    begun = [number.setdefault(tuple(prompt), len(number)) for prompt in prompts]
    return list(number), begun


def _padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows filled up to the longest one, and where they are not filled up; both int64 (N, T)."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def _spread(decoding: _CachedDecoding, begun: Sequence[int]) -> _CachedDecoding:
    if len(begun) > 1:
        decoding.select(begun)
    return decoding


class _CachedDecoding:
    """The cache and the loop that both decoders share."""

    def __init__(self, decoder: ort.InferenceSession, ids: np.ndarray, fixed: dict[str, np.ndarray]) -> None:
        self._decoder = decoder
        self._fixed = fixed
        self._outputs = [output.name for output in decoder.get_outputs()]
        self._past = {
            entry.name: np.zeros((len(ids), entry.shape[1], 0, entry.shape[3]), dtype=np.float32)
            for entry in decoder.get_inputs()
            if entry.name.startswith("past.")
        }
        self._length = 0
        self.step(ids)

    def step(self, ids: np.ndarray) -> None:
        feeds = {"input_ids": ids, **self._positions(ids), **self._fixed, **self._past}
        logits, *present = self._decoder.run(self._outputs, feeds)
        self.logits = logits
        names = (name.replace("present.", "past.") for name in self._outputs[1:])
        self._past = dict(zip(names, present, strict=True))
        self._length += ids.shape[1]

    def select(self, rows: Sequence[int] | np.ndarray) -> None:
        rows = np.asarray(rows)
        self.logits = self.logits[rows]
        self._past = {name: value[rows] for name, value in self._past.items()}
        self._fixed = {name: value[rows] for name, value in self._fixed.items()}

    def _positions(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        total = self._length + ids.shape[1]
        return {"mask": np.ones((len(ids), total), dtype=np.int64)}


class _CausalDecoding(_CachedDecoding):
    """Also told where in the sequence each token stands."""

    def _positions(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        places = np.arange(self._length, self._length + ids.shape[1], dtype=np.int64)
        return {"position_ids": np.tile(places, (len(ids), 1)), **super()._positions(ids)}
