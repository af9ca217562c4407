"""The examples of the client's documentation run as they stand, but for the address."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import image2poem
from image2poem.__main__ import main
from image2poem.errors import BY_REASON

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = [
    pytest.param(code, id=f"{page}-{number}")
    for page in ("docs/api.md", "docs/client.md", "clients/README.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example(server, tmp_path, code):
    Image.new("RGB", (60, 40), (40, 90, 200)).save(tmp_path / "lake.jpg")
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


@pytest.mark.parametrize("command", ["compose", "batch", "keywords", "check", "info"])
def test_every_option_is_in_the_documentation(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    options = set(re.findall(r"(--[a-z][a-z-]+)", capsys.readouterr().out)) - {"--help"}
    assert "--timeout" in options
    assert not {name for name in options if name not in page}


def test_every_reason_and_its_class_are_in_the_table():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for reason, kind in BY_REASON.items():
        assert f"| `{reason}` | `{kind.__name__}` |" in page
