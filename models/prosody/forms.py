"""The four forms of regulated verse (近体诗)."""

from __future__ import annotations

from dataclasses import dataclass


class UnknownForm(ValueError):
    """A form that is none of `FORMS`."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A fixed number of lines of a fixed number of characters.

    Attributes:
        name: the stable name in options and manifests, e.g. `qijue`.
        chinese: the name that readers use, e.g. 七绝.
        lines: number of lines.
        characters: characters in every line.
    """

    name: str
    chinese: str
    lines: int
    characters: int

    @property
    def parallel_lines(self) -> tuple[int, ...]:
        """The lines, from 0, that close a parallel couplet (对仗): 4 and 6 of a 律诗."""
        return (3, 5) if self.lines == 8 else ()


FORMS = {
    form.name: form
    for form in (
        Form(name="wujue", chinese="五绝", lines=4, characters=5),
        Form(name="qijue", chinese="七绝", lines=4, characters=7),
        Form(name="wulv", chinese="五律", lines=8, characters=5),
        Form(name="qilv", chinese="七律", lines=8, characters=7),
    )
}


def form_named(name: str) -> Form:
    """The form called `name`, by its stable or its Chinese name. Raises UnknownForm."""
    for form in FORMS.values():
        if name in (form.name, form.chinese):
            return form
    raise UnknownForm(f"unknown form {name!r}; choose one of {', '.join(FORMS)}")
