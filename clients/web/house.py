"""A server on a free port and the page in front of it, until Ctrl-C: what `make web` does.

python -m web.house [--index DIR] [any option of `python -m web`]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from web.__main__ import main as serve_page

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--index", type=Path, default=ROOT / ".image2poem" / "index")
    options, page_options = parser.parse_known_args()
    command = [
        sys.executable,
        "-m",
        "server",
        "--listen",
        "127.0.0.1:0",
        "--index",
        str(options.index.resolve()),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                print("web: the server did not start", file=sys.stderr)
                return 1
            return serve_page(["--target", json.loads(line)["address"], *page_options])
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(main())
