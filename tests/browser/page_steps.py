"""What a reader of the page does, and what is then to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PHOTO = str(Path(__file__).resolve().parent.parent.parent / "docs" / "pictures" / "flower.jpg")


def choose(page: Any, path: str = PHOTO) -> None:
    page.set_input_files("#file", path)


def written(page: Any) -> list[str]:
    """The poem's lines, once it is sealed."""
    page.wait_for_selector(".stamp")
    return page.locator(".line .text").all_text_contents()


def seals(page: Any) -> list[str]:
    return page.locator("#seals button").all_text_contents()
