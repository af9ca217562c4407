"""Token ids in, logits out: ONNX decoders with a key-value cache. The engine knows no text.

`cross.{i}.key` and `cross.{i}.value` are a T5 encoder's, computed once for a prompt, float32 (N, heads, S,
head width); for the decoder's own caches see models.decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import onnxruntime as ort

from models.bundle import Bundle, CorruptArtifact
from models.decoder import OnnxDecoder
from models.precision import graph_of
from models.sequences import Sequences, padded
from models.session import open_session
from models.window import Window


class Decoding(Protocol):
    """N sequences being written in step."""

    logits: np.ndarray
    """float32 (N, V): for the token that follows what was read last."""

    def step(self, ids: np.ndarray) -> None:
        """Read int64 (N, T) more tokens of each sequence and renew `logits`."""


class Engine(Protocol):
    """A decoder that begins sequences from prompts."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        """Read N prompts; `logits` is then for the first token to write."""

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """Read N prompts for a `Window`: all of them, but for what is then pending."""

    def window(self) -> Window:
        """A batch for sequences that were read here."""

    @property
    def providers(self) -> list[str]:
        """The execution providers that are really active."""


def open_engine(bundle: Bundle, *, provider: str = "cpu", threads: int = 0, int8: bool = True) -> Engine:
    """The engine of a poet bundle; `int8` is as in `graph_of`.

    Raises CorruptArtifact for an unknown architecture.
    """
    opened = partial(open_session, provider=provider, threads=threads)
    chosen = partial(graph_of, bundle, provider=provider, int8=int8)
    decoder = opened(chosen("decoder"))
    match bundle.manifest.get("architecture"):
        case "gpt2":
            return CausalEngine(decoder)
        case "t5":
            encoder = opened(chosen("encoder"))
            start = bundle.manifest["decoder_start_id"]
            return EncoderDecoderEngine(encoder, decoder, start_id=start)
        case other:
            raise CorruptArtifact(f"{bundle.path}: unknown architecture {other!r}")


class CausalEngine:
    """GPT2: the prompt goes through the decoder itself."""

    def __init__(self, decoder: ort.InferenceSession) -> None:
        self._decoder = decoder
        self.providers = decoder.get_providers()

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        return _Together(self.window(), self.read(prompts))

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """Into the cache, all but the last token."""
        different, begun = _to_read(prompts)
        heads = [prompt[:-1] for prompt in different]
        lengths = np.array([len(head) for head in heads])
        pending = tuple((different[place][-1],) for place in begun)
        return Sequences(np.array(begun), lengths[begun], self._prefill(heads), {}, pending)

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        decoder = OnnxDecoder(self._decoder)
        ids, mask = padded(prompts)
        inputs = {
            "input_ids": ids,
            "position_ids": np.tile(np.arange(ids.shape[1]), (len(ids), 1)),
            "seqlens_k": np.maximum(mask.sum(axis=1) - 1, 0).astype(np.int32),
            "total_sequence_length": np.array([ids.shape[1]], dtype=np.int32),
        }
        count, heads, width = decoder.caches
        caches = np.empty((count, len(ids), heads, ids.shape[1], width), dtype=np.float32)
        if ids.size:
            decoder(inputs, caches)
        return caches

    def window(self) -> Window:
        return Window(OnnxDecoder(self._decoder))


class EncoderDecoderEngine:
    """T5: the encoder reads the prompt, the decoder writes from a start token."""

    def __init__(
        self, encoder: ort.InferenceSession, decoder: ort.InferenceSession, *, start_id: int
    ) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._start_id = start_id
        self._caches = OnnxDecoder(decoder).caches
        self.providers = decoder.get_providers()

    def begin(self, prompts: Sequence[Sequence[int]]) -> Decoding:
        return _Together(self.window(), self.read(prompts))

    def read(self, prompts: Sequence[Sequence[int]]) -> Sequences:
        """By the encoder; the start token is pending."""
        different, begun = _to_read(prompts)
        ids, mask = padded(different)
        names = [output.name for output in self._encoder.get_outputs()]
        values = self._encoder.run(names, {"input_ids": ids, "mask": mask})
        fixed = {**dict(zip(names, values, strict=True)), "source_mask": mask}
        count, heads, width = self._caches
        nothing = np.empty((count, len(ids), heads, 0, width), dtype=np.float32)
        lengths = np.zeros(len(begun), dtype=np.int64)
        return Sequences(np.array(begun), lengths, nothing, fixed, ((self._start_id,),) * len(begun))

    def window(self) -> Window:
        return Window(OnnxDecoder(self._decoder))


def _to_read(prompts: Sequence[Sequence[int]]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The different prompts, and for each sequence the number of its own.

    Candidates of one request mostly share their prompt: it is read once.
    """
    number: dict[tuple[int, ...], int] = {}
    begun = [number.setdefault(tuple(prompt), len(number)) for prompt in prompts]
    return list(number), begun


class _Together:
    """Sequences that have a window to themselves."""

    def __init__(self, window: Window, sequences: Sequences) -> None:
        self._window = window
        window.join(sequences)
        self.step(np.array(sequences.pending, dtype=np.int64))

    def step(self, ids: np.ndarray) -> None:
        for column in ids.T:
            logits = self._window.step(column)
        self.logits = logits.copy()
