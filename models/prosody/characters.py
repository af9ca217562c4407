"""Which characters are Chinese."""

from __future__ import annotations

import re

# CJK unified ideographs with extensions A to H, compatibility ideographs, the marks 々 and 〇.
_HAN = re.compile(r"[々〇㐀-䶿一-鿿豈-﫿\U00020000-\U0003ffff]+")


def is_han(text: str) -> bool:
    """Whether `text` holds at least one character and Han characters alone."""
    return _HAN.fullmatch(text) is not None
