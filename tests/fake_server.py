"""`python -m server` with fakes in the place of bundles and index; for tests of the process itself."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import server.app  # noqa: E402
from fakes import FakePoet, snapshot  # noqa: E402
from server.__main__ import main  # noqa: E402


class PatientPoet(FakePoet):
    """Takes as long for a step as FAKE_STEP_SECONDS says."""

    def before_step(self) -> None:
        if threading.current_thread().name.startswith("poems"):
            threading.Event().wait(float(os.environ.get("FAKE_STEP_SECONDS", "0")))


# There is no index folder to follow.
os.environ.setdefault("IMAGE2POEM_INDEX_POLL", "0")
server.app.load_snapshot = lambda config: snapshot({"t5": PatientPoet()})
sys.exit(main())
