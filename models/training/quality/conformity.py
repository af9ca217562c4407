"""Verse under the rules, as the checker sees it (models.prosody.checker, 平水韵)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.prosody import Form
from models.prosody.checker import check


def conformity(poems: Sequence[Sequence[str]], form: Form) -> tuple[float, float]:
    """Shares of poems without an error: lenient, each character read as suits its place best; and resolved,
    without the readings that the corpus hardly uses."""
    reports = [check("\n".join(lines), form=form) for lines in poems]
    lenient = [report.conforms for report in reports]
    resolved = [report.conforms_resolved for report in reports]
    return float(np.mean(lenient)), float(np.mean(resolved))
