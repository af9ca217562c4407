"""What the command line prints: for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TextIO

from image2poem._rules_options import BOOKS
from image2poem.checks import PoemCheck
from image2poem.events import (
    Conformity,
    CopiedLine,
    Event,
    Finished,
    Keyword,
    Line,
    Lookup,
    Retrieved,
    ServerInfo,
    Token,
)

_FORMS = {"wujue": "五绝", "qijue": "七绝", "wulv": "五律", "qilv": "七律"}
_BOOKS = {name: chinese for chinese, name in BOOKS.items()}
_DYNASTIES = {"tang": "唐", "song": "宋"}
_DIGITS = 6


class JsonReport:
    """One object a line; an event's fields, with its kind under `event`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def keywords(self, lookup: Lookup) -> None:
        keywords = [asdict(keyword) for keyword in lookup.keywords]
        self._print({"keywords": keywords, "index_version": lookup.index_version})

    def info(self, info: ServerInfo) -> None:
        self._print(asdict(info))

    def poem(self, found: PoemCheck, name: str) -> None:
        self._print({**({"file": name} if name else {}), **asdict(found)})

    def event(self, event: Event) -> None:
        self._print({"event": type(event).__name__.lower(), **asdict(event)})

    def _print(self, value: dict[str, Any]) -> None:
        print(json.dumps(_rounded(value), ensure_ascii=False), file=self._out, flush=True)


class TextReport:
    """The poem character by character as it is written, with its punctuation.

    Several candidates are written at once and would be a muddle; there a line on the terminal counts their
    characters, and the best poem is printed when it is known.
    """

    def __init__(self, out: TextIO, *, candidates: int = 1) -> None:
        self._out = out
        self._candidates = candidates
        self._written = 0
        # Only where somebody watches: not in a file, nor in a pipe.
        self._progress = candidates > 1 and sys.stderr.isatty()

    def keywords(self, lookup: Lookup) -> None:
        for keyword in lookup.keywords:
            self._say(f"{keyword.score:6.3f}  {keyword.text}\n")

    def info(self, info: ServerInfo) -> None:
        encoder, index = info.encoder, info.index
        self._say(f"server   {info.server_version}\n")
        providers = _list(encoder.execution_providers)
        self._say(f"encoder  {encoder.name}, {encoder.dimension} dimensions, {providers}\n")
        self._say(f"index    {index.version}, {index.size} keywords, {index.kind}\n")
        for poet in info.poets:
            mark = " (default)" if poet.name == info.default_poet else ""
            forms = _list(_FORMS.get(form, form) for form in poet.forms)
            providers = _list(poet.execution_providers)
            self._say(f"poet     {poet.name}{mark}: {poet.architecture}, {forms}, {providers}\n")
            if poet.subjects:
                self._say(f"         subjects {_list(poet.subjects)}\n")
        if info.sources:
            self._say(f"sources  {info.sources.name}, {info.sources.lines} lines\n")
        self._say(
            f"lines    each line is the best of {info.default_line_choices} unless a wish says otherwise\n"
        )
        for name, value in asdict(info.limits).items():
            self._say(f"limit    {name} {value}\n")

    def event(self, event: Event) -> None:
        match event:
            case Retrieved(keywords=keywords):
                self._say(f"{_headline(keywords)}\n\n")
            case Token() if self._candidates > 1:
                self._count()
            case Token(text=text):
                self._say(text)
            case Line(line=line) if self._candidates == 1:
                self._say(_mark(line) + "\n")
            case Finished():
                self._finish(event)

    def _finish(self, event: Finished) -> None:
        if self._candidates > 1:
            self._clear()
            for number, line in enumerate(event.poem):
                self._say(line + _mark(number) + "\n")
        elif event.finish_reason != "complete":
            self._say("……\n")
        form, seconds = _FORMS.get(event.form, event.form), event.timings.total_ms / 1000
        chosen = f" · best of {len(event.candidates)}" if len(event.candidates) > 1 else ""
        rhyme = _rhyme(event.conformity)
        self._say("\n" + "".join(f"{_origin(copied)}\n" for copied in event.copied_lines))
        self._say(f"{form}{rhyme} · {event.poet}{chosen} · {seconds:.2f} s · seed {event.seed}\n")

    def _say(self, text: str) -> None:
        print(text, end="", file=self._out, flush=True)

    def _count(self) -> None:
        self._written += 1
        if self._progress:
            text = f"\rwriting {self._candidates} poems: {self._written} characters"
            print(text, end="", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._progress:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _headline(keywords: Iterable[Keyword]) -> str:
    return "意象：" + " ".join(keyword.text for keyword in keywords)


def _rhyme(conformity: Conformity | None) -> str:
    """The rhyme of a poem that keeps the rules; nothing for one that was not asked to."""
    if conformity is None or not conformity.conforms:
        return ""
    return f" · {_BOOKS.get(conformity.rhyme_book, conformity.rhyme_book)} {conformity.rhyme_group}"


def _origin(copied: CopiedLine) -> str:
    """第2句见〔宋〕陆游《…》, as far as the corpus names it; 等 says that it stands elsewhere too."""
    dynasty = f"〔{_DYNASTIES.get(copied.dynasty, copied.dynasty)}〕" if copied.dynasty else ""
    title = f"《{copied.title}》" if copied.title else ""
    poem = f"{dynasty}{copied.author}{title}" or "训练诗集"
    return f"第{copied.line + 1}句见{poem}{'等' if copied.elsewhere else ''}"


def _mark(line: int) -> str:
    """A couplet's first line ends in a comma, its second in a full stop."""
    return "。" if line % 2 else "，"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _rounded(value: Any) -> Any:
    """Floats as short as their precision: single-precision scores have no more than six digits."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
