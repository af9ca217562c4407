"""ONNX Runtime sessions: execution provider and threads, decided in one place.

onnxruntime falls back to the CPU silently when CUDA cannot be loaded (onnxruntime #23372); here the
active providers are read back, and asking for CUDA without getting it is an error.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
)

from models.bundle import CorruptArtifact

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}


class ProviderUnavailable(Exception):
    """The execution provider that was asked for is not active."""


def open_session(path: Path | str, *, provider: str = "cpu", threads: int = 0) -> ort.InferenceSession:
    """Open an ONNX model.

    Args:
        path: the `.onnx` file.
        provider: `cpu` or `cuda`.
        threads: intra-op threads; 0 lets ONNX Runtime take one per physical core.

    Raises ProviderUnavailable when `provider` is unknown or is not active after creation, CorruptArtifact
    when the file is no model.
    """
    if provider not in _PROVIDERS:
        raise ProviderUnavailable(f"unknown provider {provider!r}; choose one of {', '.join(_PROVIDERS)}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle spinning of the pool's threads takes a core away from the request next to it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = _PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ProviderUnavailable(_advice(wanted, ort.get_available_providers()))
    try:
        session = ort.InferenceSession(str(path), options, providers=[wanted])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
        raise CorruptArtifact(f"{path}: not a model that ONNX Runtime can load") from error
    if wanted not in session.get_providers():
        raise ProviderUnavailable(_advice(wanted, session.get_providers()))
    return session


def _advice(wanted: str, active: list[str]) -> str:
    return (
        f"{wanted} was asked for, but only {', '.join(active)} can be used here; install the wheels of the "
        "`gpu` extra on a machine with a CUDA driver, or ask for the provider `cpu`"
    )
