"""A poem for people, as it is written."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TextIO

from image2poem._cli.page import Page
from image2poem._cli.terminal import DIM, SEAL, Style, Waiting
from image2poem._names import BOOKS, DYNASTIES, FORMS
from image2poem.events import (
    Conformity,
    CopiedLine,
    Event,
    Finished,
    Keyword,
    Line,
    Retrieved,
    Timings,
    Token,
)


class PoemReport:
    """Keywords as they are found, the poem on its page as it is written, and what it is.

    Several candidates are written at once and would be a muddle; there the waiting line counts their
    characters, and the best poem is written when it is known.
    """

    def __init__(
        self, out: TextIO, page: Page, waiting: Waiting, *, candidates: int = 1, timings: bool = False
    ) -> None:
        self._out = out
        self._page = page
        self._waiting = waiting
        self._candidates = candidates
        self._timings = timings
        self._style = Style(out)
        self._began = time.monotonic()
        self._first: float | None = None
        self._written = 0

    def event(self, event: Event) -> None:
        match event:
            case Retrieved(keywords=keywords):
                self._say(f"{self._headline(keywords)}\n\n")
                self._waiting.say("writing")
            case Token() if self._candidates > 1:
                self._count()
            case Token(line=line, text=text):
                self._note_first()
                self._waiting.clear()
                self._page.character(line, text)
            case Line(line=line) if self._candidates == 1:
                self._page.line(line)
                self._waiting.say("writing")
            case Finished():
                self._finish(event)

    def _headline(self, keywords: Iterable[Keyword]) -> str:
        if self._style.coloured:
            return " ".join(self._style.paint(f" {keyword.text} ", SEAL) for keyword in keywords)
        return "意象：" + " ".join(keyword.text for keyword in keywords)

    def _count(self) -> None:
        self._note_first()
        self._written += 1
        self._waiting.say(f"writing {self._candidates} poems: {self._written} characters")

    def _note_first(self) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began

    def _finish(self, event: Finished) -> None:
        self._waiting.clear()
        if self._candidates > 1:
            self._page.whole(event.poem)
        self._page.close()
        form = FORMS.get(event.form, event.form)
        chosen = f" · best of {len(event.candidates)}" if len(event.candidates) > 1 else ""
        seconds = event.timings.total_ms / 1000
        self._say("\n" + "".join(f"{origin(copied)}\n" for copied in event.copied_lines))
        closing = f"{form}{rhyme(event.conformity)} · {event.poet}{chosen} · {seconds:.2f} s"
        self._say(f"{self._style.paint(f'{closing} · seed {event.seed}', DIM)}\n")
        if self._timings:
            self._say(f"{self._style.paint(self._spent(event.timings), DIM)}\n")

    def _spent(self, timings: Timings) -> str:
        """Where the time went; a stage without any did not happen."""
        first, total = self._first or 0.0, time.monotonic() - self._began
        stages = {
            "queue": timings.queue_ms,
            "encode": timings.encode_ms,
            "search": timings.search_ms,
            "write": timings.write_ms,
            "rank": timings.rank_ms,
        }
        there = " + ".join(f"{name} {_short(value)}" for name, value in stages.items() if value)
        return (
            f"server: first character {_short(timings.first_token_ms)} ms; "
            f"{there} = {_short(timings.total_ms)} ms\n"
            f"here: first character {_short(1000 * first)} ms; all {_short(1000 * total)} ms"
        )

    def _say(self, text: str) -> None:
        self._waiting.clear()
        self._out.write(text)
        self._out.flush()


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def rhyme(conformity: Conformity | None) -> str:
    """The rhyme of a poem that keeps the rules; nothing for one that was not asked to."""
    if conformity is None or not conformity.conforms:
        return ""
    return f" · {BOOKS.get(conformity.rhyme_book, conformity.rhyme_book)} {conformity.rhyme_group}"


def origin(copied: CopiedLine) -> str:
    """第2句见〔宋〕陆游《…》, as far as the corpus names it; 等 says that it stands elsewhere too."""
    dynasty = f"〔{DYNASTIES.get(copied.dynasty, copied.dynasty)}〕" if copied.dynasty else ""
    title = f"《{copied.title}》" if copied.title else ""
    poem = f"{dynasty}{copied.author}{title}" or "训练诗集"
    return f"第{copied.line + 1}句见{poem}{'等' if copied.elsewhere else ''}"
