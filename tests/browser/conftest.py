"""A browser for the tests of the page: Debian's chromium, driven by Playwright. Without one they skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

WAIT_MS = 60_000


def chromium() -> str | None:
    """The executable: IMAGE2POEM_CHROMIUM, else what the path has."""
    named = os.environ.get("IMAGE2POEM_CHROMIUM")
    return (
        named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    )


# Not for the session: while Playwright runs, the thread has a running event loop, and `asyncio.run` refuses.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = chromium()
    if executable is None:
        pytest.skip("no chromium; apt-get install chromium")
    playwright.expect.set_options(timeout=WAIT_MS)
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox needs what containers and root do not have; it sees this page alone.
        running = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser) -> Iterator[Any]:
    """`open_page(address, **context options)`: a loaded page. Errors of its scripts fail the test.

    Most tests are quicker without the typeface, and lose nothing.
    """
    contexts, errors = [], []

    def open(address: str, fragment: str = "", *, typeface: bool = False, **options: Any) -> Any:
        settings = {"locale": "en-US", "reduced_motion": "reduce", "accept_downloads": True, **options}
        context = browser.new_context(**settings)
        contexts.append(context)
        if not typeface:
            context.route("**/kai.woff2", lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and errors.append(said.text))
        page.on("request", lambda request: _leaves(request.url, address) and errors.append(request.url))
        page.goto(f"http://{address}/{fragment}")
        return page

    yield open
    for context in contexts:
        context.close()
    assert not errors


def _leaves(url: str, address: str) -> bool:
    return not url.startswith((f"http://{address}/", "blob:"))
