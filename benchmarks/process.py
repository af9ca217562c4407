"""A server process to measure, started and stopped as an operator would."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that serves: its address, process id, and the seconds it took to get there."""

    address: str
    pid: int
    seconds: float

    def resident_mib(self) -> float:
        """Resident memory of the process, in MiB (Linux)."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS in /proc")


@contextmanager
def server(*options: str) -> Iterator[Running]:
    """`python -m server` on a free port, until the block is left."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--log-level", "error", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start; is there an index? (make index)")
        seconds = time.perf_counter() - started
        try:
            yield Running(address=json.loads(line)["address"], pid=process.pid, seconds=seconds)
        finally:
            process.terminate()


def jpeg(width: int, height: int, name: str = "pavilion.jpg") -> bytes:
    """One of the pictures in docs/, resized, as a JPEG of quality 90."""
    buffer = io.BytesIO()
    with Image.open(PICTURES / name) as picture:
        picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(
            buffer, "JPEG", quality=90
        )
    return buffer.getvalue()
