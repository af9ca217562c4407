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
from models.session import open_session


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

    @property
    def providers(self) -> list[str]:
        """The execution providers that are really active."""


def open_engine(bundle: Bundle, *, provider: str = "cpu", threads: int = 0) -> Engine:
    """The engine of a poet bundle. Raises CorruptArtifact for an unknown architecture."""
    decoder = open_session(bundle.file("decoder.onnx"), provider=provider, threads=threads)
    match bundle.manifest.get("architecture"):
        case "gpt2":
            return CausalEngine(decoder)
        case "t5":
            encoder = open_session(bundle.file("encoder.onnx"), provider=provider, threads=threads)
            return EncoderDecoderEngine(encoder, decoder, start_id=bundle.manifest["decoder_start_id"])
        case other:
            raise CorruptArtifact(f"{bundle.path}: unknown architecture {other!r}")


class CausalEngine:
    """GPT2: the prompt goes through the decoder itself."""

    def __init__(self, decoder: ort.InferenceSession) -> None:
        self._decoder = decoder
        self.providers = decoder.get_providers()

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        read, begun = _to_read(prompts)
        return _spread(_CausalDecoding(self._decoder, np.array(read, dtype=np.int64), {}), begun)


class EncoderDecoderEngine:
    """T5: the encoder reads the prompt, the decoder writes from a start token."""

    def __init__(
        self, encoder: ort.InferenceSession, decoder: ort.InferenceSession, *, start_id: int
    ) -> None:
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
