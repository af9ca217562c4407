"""词 of the npm package `chinese-poetry`, kept apart from regulated verse for a poet of another day."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.bundle import sha256_of
from models.prosody import is_han
from models.training.spelling import simplifier, standard_spelling

_PUNCTUATION = re.compile(r"[，。？！；、：\s]+")


@dataclass(frozen=True, kw_only=True)
class Ci:
    """A 词 in simplified characters: `tune` is its 词牌; `lines` are cut at every mark, 顿 too."""

    tune: str
    dynasty: str
    author: str
    lines: tuple[str, ...]


def clean(folder: Path) -> list[Ci]:
    """词 of the Five Dynasties and the Song: of Han characters alone, each once, in file order."""
    convert = simplifier()
    found: dict[str, Ci] = {}
    for record in _records(folder):
        text = standard_spelling(convert("，".join(record["paragraphs"])))
        lines = tuple(line for line in _PUNCTUATION.split(text) if line)
        if record["tune"] and len(lines) > 1 and all(map(is_han, lines)):
            ci = Ci(
                tune=standard_spelling(convert(record["tune"])),
                dynasty=record["dynasty"],
                author=convert(record["author"]),
                lines=lines,
            )
            found.setdefault("".join(lines), ci)
    return list(found.values())


def write(poems: Sequence[Ci], path: Path) -> dict[str, Any]:
    """Write them, one a line; returns their counts and a SHA-256 of the file."""
    rows = (json.dumps(asdict(poem), ensure_ascii=False) + "\n" for poem in poems)
    path.write_text("".join(rows), encoding="utf-8")
    counts = Counter(poem.dynasty for poem in poems)
    return {"sha256": sha256_of(path), "poems": len(poems), **dict(sorted(counts.items()))}


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    """Every 词 of the package, with `tune` and `dynasty`."""
    for path in _in_order((folder / "dist" / "wudaishici").glob("*/*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            if isinstance(record, dict) and record.get("paragraphs") and record.get("rhythmic"):
                tune = record["rhythmic"].partition("・")[0].split()[0]
                yield {**record, "tune": tune, "dynasty": "wudai"}
    for path in _in_order((folder / "dist" / "songci").glob("ci.song.*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            tune = (record.get("rhythmic") or "").partition("・")[0]
            yield {**record, "tune": tune, "dynasty": "song"}


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """By the number in a file's name, then by the name."""
    return sorted(paths, key=lambda path: (int(re.sub(r"\D", "", path.name) or 0), path.name))
