"""A poem under the rules as a table for people."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from image2poem._cli.terminal import CYAN, DIM, GREEN, RED, YELLOW, Style, columns
from image2poem._names import BOOKS, FORMS
from image2poem.checks import Fault, LineCheck, PoemCheck, Rescue

# All of these are two columns wide in every terminal, as ○ and ● are not.
_TONES = {"level": "平", "oblique": "仄", "either": "中", "": "？"}
_RHYME, _FAULTY, _RESCUED, _DOUBTFUL = "韵", "误", "救", "疑"
_LEGEND = "平 level  仄 oblique  中 either  韵 rhyme  误 fault  救 rescued  疑 warning"
_COLOURS = {_RHYME: GREEN, _FAULTY: RED, _RESCUED: CYAN, _DOUBTFUL: YELLOW, "dim": DIM}
_WIDEST = 100


class CheckReport:
    """Prints checks for people; in colour where they watch on a terminal."""

    def __init__(self, out: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._style = Style(out, environment)
        self._width = min(shutil.get_terminal_size().columns, _WIDEST) if out.isatty() else _WIDEST
        self._count = 0

    def poem(self, found: PoemCheck, name: str) -> None:
        """Print one poem; `name` is its file's, or empty."""
        self._count += 1
        if self._count > 1:
            self._say()
        if name:
            self._say(name)
        self._say(_heading(found))
        self._say()
        for number, line in enumerate(found.lines):
            self._line(number, line, found)
            if number % 2 or number == len(found.lines) - 1:
                self._say()
        self._say(self._paint(_LEGEND, "dim"))
        notes: list[Fault | Rescue] = [*found.faults, *found.rescues]
        notes.sort(key=lambda note: note.line)
        if notes:
            self._say()
        for note in notes:
            self._note(note)
        self._out.flush()

    def _line(self, number: int, line: LineCheck, found: PoemCheck) -> None:
        marks = _marks(number, line, found)
        cells = [character.text for character in line.characters] + [_RHYME] * line.rhymed
        kinds = [*marks, *[_RHYME] * line.rhymed]
        self._row(f"{number + 1:2}", cells, kinds)
        self._row(
            "", [_TONES.get(each.tone, "？") for each in line.characters], [mark or "dim" for mark in marks]
        )
        if any(marks):
            self._row("", [mark or "\u3000" for mark in marks], marks)

    def _row(self, label: str, cells: Sequence[str], kinds: Sequence[str]) -> None:
        row = " ".join(self._paint(_padded(cell), kind) for cell, kind in zip(cells, kinds, strict=True))
        self._say(f"{label:4}{row}".rstrip(" \u3000"))

    def _note(self, note: Fault | Rescue) -> None:
        mark = _RESCUED
        if isinstance(note, Fault):
            mark = _FAULTY if note.severity == "error" else _DOUBTFUL
        first, *rest = _wrapped(note.explanation, self._width - 12)
        self._say(f"{self._paint(mark, mark)}  line {note.line + 1}  {first}")
        for line in rest:
            self._say(f"{'':12}{line}")

    def _paint(self, text: str, kind: str) -> str:
        return self._style.paint(text, _COLOURS.get(kind, ""))

    def _say(self, text: str = "") -> None:
        print(text, file=self._out)


def _heading(found: PoemCheck) -> str:
    """What it is, and whether it keeps the rules."""
    errors = sum(fault.severity == "error" for fault in found.faults)
    verdict = "合律, it keeps the rules"
    if errors:
        verdict = f"不合律, {errors} {'fault' if errors == 1 else 'faults'}"
    elif not found.conforms_resolved:
        verdict = "合律, it keeps the rules if uncommon readings count"
    if not found.form:
        return f"none of the four forms · {verdict}"
    rhyme = f"{BOOKS.get(found.rhyme_book, found.rhyme_book)} {found.rhyme_group}".rstrip()
    return f"{FORMS.get(found.form, found.form)} · {found.pattern_name} · {rhyme} · {verdict}"


def _marks(number: int, line: LineCheck, found: PoemCheck) -> list[str]:
    """For each character how it stands; empty where it is good."""
    doubtful = {
        place
        for fault in found.faults
        if fault.line == number and fault.severity == "warning"
        for place in fault.positions
    }
    verdicts = {"faulty": _FAULTY, "rescued": _RESCUED, "unknown": _DOUBTFUL}
    return [
        verdicts.get(character.verdict, _DOUBTFUL if place in doubtful else "")
        for place, character in enumerate(line.characters)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if columns(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _padded(cell: str) -> str:
    """Two columns wide, as Chinese characters are."""
    return cell + " " * (2 - columns(cell))
