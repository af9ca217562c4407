"""Nothing that serves calls home: ONNX Runtime's telemetry is off before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import sys, {first}
from pathlib import Path
import onnxruntime
import models.session
model = next(Path("models/bundles/lite").glob("*.onnx"))
models.session.open_session(model, provider="cpu", threads=1)
"""


@pytest.mark.parametrize("first", ["index_builder.products", "server.app"])
def test_a_session_leaves_no_trace_of_telemetry(tmp_path, first):
    """With telemetry it keeps a number for the device in a folder of the user's."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'clients'}"}
    environment.pop("XDG_CACHE_HOME", None)
    # In CI it is off by itself, and this test would show nothing.
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD"):
        environment.pop(name, None)
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if "icrosoft" in path.name] == []
