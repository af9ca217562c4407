"""A decoder's graph, run with caches that it reads and writes in place.

Tensor names: `past.{i}.key` and `past.{i}.value` go in, `present.{i}.key` and `present.{i}.value` come out,
float32 (N, heads, P, head width). Each pair is bound to one buffer, so that nothing is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnxruntime as ort

from models.bundle import CorruptArtifact


class Decoder(Protocol):
    """Reads tokens behind those that caches hold.

    Attributes:
        caches: how many there are of each row, their heads, and the width of a head.
    """

    @property
    def caches(self) -> tuple[int, int, int]: ...

    def __call__(self, inputs: Mapping[str, np.ndarray], caches: np.ndarray) -> np.ndarray:
        """Read T more tokens of N sequences.

        Args:
            inputs: `input_ids` and `position_ids`, int64 (N, T), `seqlens_k`, int32 (N,), the place of each
                row's last token, `total_sequence_length`, int32 (1,), P, and what else the graph takes.
            caches: float32 (C, N, heads, P, head width), written to. A row's token i stands at place i; T
                is 1, or P where nothing was read before.

        Returns the logits after the last token, float32 (N, V), until the next call.
        """


class OnnxDecoder:
    """Of a session, for one thread: several of them may share a session."""

    def __init__(self, session: ort.InferenceSession) -> None:
        """Raises CorruptArtifact for a graph that takes other inputs, as those of older exports do."""
        taken = session.get_inputs()
        past = [entry for entry in taken if entry.name.startswith("past.")]
        if not past or "seqlens_k" not in {entry.name for entry in taken}:
            raise CorruptArtifact("decoder.onnx is of an older version: export the poet anew")
        self.caches = (len(past), past[0].shape[1], past[0].shape[3])
        self._names = [entry.name for entry in past]
        [logits] = [entry for entry in session.get_outputs() if entry.name == "logits"]
        self._vocabulary = logits.shape[1]
        self._session = session
        self._binding = session.io_binding()
        # What is bound stays so: it is told by its object, as shapes and addresses of others may be the same.
        self._bound: dict[str, np.ndarray] = {}
        self._logits = np.empty((0, self._vocabulary), dtype=np.float32)

    def __call__(self, inputs: Mapping[str, np.ndarray], caches: np.ndarray) -> np.ndarray:
        if self._bound.get("caches") is not caches:
            self._bind_caches(caches)
        for name, array in inputs.items():
            if self._bound.get(name) is not array:
                self._bound[name] = array
                self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        self._session.run_with_iobinding(self._binding)
        return self._logits

    def _bind_caches(self, caches: np.ndarray) -> None:
        self._bound["caches"] = caches
        for name, cache in zip(self._names, caches, strict=True):
            value = ort.OrtValue.ortvalue_from_numpy(cache)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(name.replace("past.", "present."), value)
        self._logits = np.empty((caches.shape[1], self._vocabulary), dtype=np.float32)
        self._binding.bind_ortvalue_output("logits", ort.OrtValue.ortvalue_from_numpy(self._logits))
