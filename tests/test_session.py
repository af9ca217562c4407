"""ONNX Runtime sessions: the provider that was asked for, or an error."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail, Fail, RuntimeException

from models.bundle import CorruptArtifact
from models.session import ProviderUnavailable, open_session

needs_no_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="the CUDA wheel is installed"
)


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A graph that adds its input to itself."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "doubling.onnx")
    return tmp_path / "doubling.onnx"


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_a_session_runs_on_the_cpu(doubling: Path, threads: int) -> None:
    opened = open_session(doubling, threads=threads)
    assert opened.get_providers() == ["CPUExecutionProvider"]
    assert opened.get_session_options().intra_op_num_threads == threads
    (result,) = opened.run(None, {"x": np.array([1, 2], dtype=np.float32)})
    np.testing.assert_array_equal(result, np.array([2, 4], dtype=np.float32))


def test_an_unknown_provider_is_refused_with_the_choices(doubling: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="'tpu'; choose one of cpu, cuda"):
        open_session(doubling, provider="tpu")


@needs_no_cuda
def test_cuda_without_its_wheel_is_refused_with_advice(doubling: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="ask for the provider `cpu`"):
        open_session(doubling, provider="cuda")


@needs_no_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fall_back_to_the_cpu_is_an_error(doubling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A wheel that has CUDA, on a machine where it cannot be loaded, says so and then runs on the CPU.
    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.raises(ProviderUnavailable, match="only CPUExecutionProvider can be used"):
        open_session(doubling, provider="cuda")


@needs_no_cuda
@pytest.mark.parametrize("failure", [EPFail, Fail, RuntimeException])
def test_a_device_that_fails_is_told_from_a_file_that_is_no_model(
    doubling: Path, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    real = ort.InferenceSession

    def without_device(
        path: str, options: ort.SessionOptions, *, providers: list[str]
    ) -> ort.InferenceSession:
        if providers == ["CUDAExecutionProvider"]:
            raise failure("CUDA failure 100: no CUDA-capable device is detected")
        return real(path, options, providers=providers)

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", without_device)
    with pytest.raises(ProviderUnavailable, match="`gpu-cuda13` on a machine with a CUDA driver"):
        open_session(doubling, provider="cuda")
    if failure is Fail:
        doubling.write_bytes(b"no model at all")
        with pytest.raises(CorruptArtifact):
            open_session(doubling, provider="cuda")


def test_the_extras_for_gpus_are_those_for_serving_with_a_pinned_pair() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    pairs = {
        "gpu": {"faiss-gpu==1.15.1", "onnxruntime-gpu==1.26.0"},
        "gpu-cuda13": {"faiss-gpu-cuvs==1.15.1", "onnxruntime-gpu==1.31.1"},
    }
    shared = {name for name in extras["serve"] if not name.startswith(("faiss", "onnxruntime"))}
    for name, pair in pairs.items():
        assert set(extras[name]) == shared | pair


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x07"])
def test_a_file_that_is_no_model_is_a_corrupt_artifact(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"model\.onnx"):
        open_session(tmp_path / "model.onnx")


def test_a_missing_file_is_a_corrupt_artifact(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact):
        open_session(tmp_path / "model.onnx")
