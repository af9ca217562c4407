"""Servers and a picture for the tests that need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Starts servers of fakes, `serve(poets=…, late=…, option=…)`, and stops them when the test ends."""
    # Here, so that tests of other rooms need no gRPC.
    from fakes import snapshot
    from serving import RunningServer

    with ExitStack() as stack:

        def start(poets: Any = None, **options: Any) -> RunningServer:
            load = options.pop("load", lambda config: snapshot(poets))
            return stack.enter_context(RunningServer(load, **options))

        yield start


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """One server of quick fakes for all tests of a module that leave it as they found it."""
    from fakes import snapshot
    from serving import RunningServer

    with RunningServer(lambda config: snapshot()) as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """The path of a picture's file."""
    from fakes import PICTURE

    path = tmp_path / "lake.jpg"
    path.write_bytes(PICTURE)
    return str(path)
