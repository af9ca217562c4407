"""A server on a free port, one poem from it, and everything stopped again: what `make run` does.

python deploy/demo.py [--index DIR] IMAGE [--form qijue] [--poet gpt2] [any other option of `compose`]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".image2poem" / "server.log"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", default=str(ROOT / ".image2poem" / "index"))
    options, wish = parser.parse_known_args()
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log, _start_server(options.index, log) as server:
        try:
            address = _wait_for_address(server)
            if address is None:
                print(f"the server did not start; see {LOG.relative_to(ROOT)}", file=sys.stderr)
                print(LOG.read_text(encoding="utf-8").strip().rpartition("\n")[2], file=sys.stderr)
                return 1
            compose = [sys.executable, "-m", "image2poem", "compose", "--target", address, *wish]
            return subprocess.run(compose, check=False).returncode
        finally:
            server.terminate()


def _start_server(index: str, log) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "server",
        "--listen",
        "127.0.0.1:0",
        "--index",
        str(Path(index).resolve()),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)


def _wait_for_address(server: subprocess.Popen[str]) -> str | None:
    """The address in the server's first line, or None when it ended without one."""
    line = server.stdout.readline() if server.stdout else ""
    return json.loads(line)["address"] if line else None


if __name__ == "__main__":
    sys.exit(main())
