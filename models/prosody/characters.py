"""Which characters are Chinese."""

from __future__ import annotations

import re

# CJK unified ideographs with extensions A to H, compatibility ideographs, the marks 々 and 〇.
_HAN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def is_han(text: str) -> bool:
    """Whether `text` holds at least one character and Han characters alone."""
    return _HAN.fullmatch(text) is not None
