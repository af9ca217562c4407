"""The examples of the client's documentation run as they stand, but for the address."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import image2poem
from fakes import PICTURE

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = [
    pytest.param(code, id=f"{page}-{number}")
    for page in ("docs/api.md", "clients/README.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example(server, tmp_path, code):
    (tmp_path / "lake.jpg").write_bytes(PICTURE)
    code = code.replace("localhost:50051", server.target)
    environment = {"PYTHONPATH": str(Path(image2poem.__file__).resolve().parent.parent), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
