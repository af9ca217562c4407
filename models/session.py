"""ONNX Runtime sessions: execution provider and threads, decided in one place.

onnxruntime falls back to the CPU silently when CUDA cannot be loaded (onnxruntime #23372); here the
active providers are read back, and asking for CUDA without getting it is an error.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)

from models.bundle import CorruptArtifact

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}
_NO_MODEL = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile)
_NO_DEVICE = (EPFail, RuntimeException)


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
    wanted = _PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ProviderUnavailable(_advice(wanted, ort.get_available_providers()))
    try:
        session = ort.InferenceSession(str(path), _options(threads), providers=[wanted])
    except _NO_MODEL as error:
        if provider != "cpu" and _opens_on_cpu(path):
            raise ProviderUnavailable(_advice(wanted, [_PROVIDERS["cpu"]])) from error
        raise CorruptArtifact(f"{path}: not a model that ONNX Runtime can load") from error
    except _NO_DEVICE as error:
        raise ProviderUnavailable(_advice(wanted, [_PROVIDERS["cpu"]])) from error
    if wanted not in session.get_providers():
        raise ProviderUnavailable(_advice(wanted, session.get_providers()))
    # Neither while it runs does a session change to the CPU unasked.
    session.disable_fallback()
    return session


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A plan of the memory is kept for every combination of shapes (onnxruntime #11118): here each step has
    # another one, and the plans would pile up.
    options.enable_mem_pattern = False
    # Waking a thread for each of some hundred operators costs a tenth of a run, so the pool's threads spin
    # while one goes on; spinning after it would take a core away from the request next to it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _opens_on_cpu(path: Path | str) -> bool:
    """Whether the file is a model, so that it was the device that failed."""
    try:
        ort.InferenceSession(str(path), _options(1), providers=[_PROVIDERS["cpu"]])
    except _NO_MODEL:
        return False
    return True


def _advice(wanted: str, active: list[str]) -> str:
    return (
        f"{wanted} was asked for, but only {', '.join(active)} can be used here; install the wheels of the "
        "extra `gpu` (CUDA 12) or `gpu-cuda13` on a machine with a CUDA driver, or ask for the provider `cpu`"
    )
