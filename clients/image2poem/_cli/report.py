"""What the command line prints: for people, or one JSON object a line for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TextIO

from image2poem._names import FORMS
from image2poem.checks import PoemCheck
from image2poem.events import Event, Lookup, ServerInfo

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
        print(json.dumps(rounded(value), ensure_ascii=False), file=self._out, flush=True)


class TextReport:
    """What people read."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

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
            forms = _list(FORMS.get(form, form) for form in poet.forms)
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

    def _say(self, text: str) -> None:
        print(text, end="", file=self._out, flush=True)


def report_for(options: argparse.Namespace, out: TextIO) -> JsonReport | TextReport:
    """The report that the options ask for."""
    return JsonReport(out) if options.json else TextReport(out)


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def rounded(value: Any) -> Any:
    """Floats as short as their precision: single-precision scores have no more than six digits."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value
