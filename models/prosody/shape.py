"""Whether lines have the number and the lengths of a form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.prosody.faults import fault
from models.prosody.forms import FORMS, Form
from models.prosody.report import Fault


def form_of(lines: Sequence[str], wanted: Form | None = None) -> Form | None:
    """The form whose lines these are, among all or `wanted` alone; None where there is none."""
    for form in [wanted] if wanted else FORMS.values():
        if [len(line) for line in lines] == [form.characters] * form.lines:
            return form
    return None


def misshapen(lines: Sequence[str], wanted: Form | None = None) -> Iterator[Fault]:
    """What keeps lines from having a form: `wanted`, or the one that they come nearest to."""
    lengths = [len(line) for line in lines]
    usual = max(sorted(set(lengths), reverse=True), key=lengths.count, default=0)
    characters = wanted.characters if wanted else min((5, 7), key=lambda length: abs(length - usual))
    for line, length in enumerate(lengths):
        if length != characters:
            text = f"The line has {length} characters, not {characters} (字数不合)."
            yield fault("wrong_length", line, (), text)
    counts = (wanted.lines,) if wanted else (4, 8)
    if len(lines) not in counts:
        forms = " or ".join(map(str, counts))
        text = f"The poem has {len(lines)} lines, not {forms} (句数不合). Its title is no part of the text."
        yield fault("wrong_line_count", max(len(lines) - 1, 0), (), text)
