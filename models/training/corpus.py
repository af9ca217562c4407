"""The npm package `chinese-poetry` turned into clean, deduplicated, split regulated verse.

    npm pack chinese-poetry && tar xzf chinese-poetry-*.tgz
    python -m models.training.corpus --package package --out runs/corpus

writes `train.jsonl`, `validation.jsonl`, `test.jsonl` (one poem a line), `ci.jsonl` (词, kept apart: no poet
learns it yet) and `corpus.json` (counts, and a SHA-256 of each). The same package gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.bundle import sha256_of
from models.prosody import FORMS, is_han
from models.prosody.shape import form_of
from models.training import ci
from models.training.spelling import simplifier, standard_spelling

SPLITS = ("train", "validation", "test")
# Taken per form from the poems in the order of their hash; what is left is for training. 1,200 a form
# leaves a thousand held-out poems of the rarest form (五绝) for evaluation.
_HELD_OUT = {"test": 1200, "validation": 600}
_PUNCTUATION = re.compile("[，。？！；、：]")
# The mark of repetition and the compatibility forms are spellings of other characters.
_SPELLING = re.compile("[々\uf900-\ufaff]")
_NEAR_DUPLICATE = 0.75


@dataclass(frozen=True, kw_only=True)
class Poem:
    """A regulated poem in simplified characters: `lines` has the number and length that `form` says.

    `keywords` are those that came with the poem; empty where training is to draw them from its lines.
    """

    form: str
    dynasty: str
    author: str
    title: str
    lines: tuple[str, ...]
    keywords: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.lines)


def read_package(folder: Path) -> Iterator[dict]:
    """The Tang and Song poems of the unpacked npm package, in file order, with a `dynasty` field."""
    for dynasty in ("tang", "song"):
        files = (folder / "dist" / "quantangshi").glob(f"poet.{dynasty}.*.json")
        for path in sorted(files, key=lambda path: int(path.name.split(".")[2])):
            for record in json.loads(path.read_text(encoding="utf-8")):
                yield {**record, "dynasty": dynasty}


def couplets(folder: Path) -> Iterator[str]:
    """Every couplet of the package in simplified characters, with its punctuation, of any form."""
    for record in _simplified(read_package(folder)):
        yield from record["paragraphs"]


def clean_poems(folder: Path) -> list[Poem]:
    """The package's regulated verse: simplified, whole, free of doubtful characters and of duplicates."""
    poems = (_as_poem(record) for record in _simplified(read_package(folder)))
    return _without_duplicates([poem for poem in poems if poem is not None])


def split(poems: Iterable[Poem]) -> dict[str, list[Poem]]:
    """Train, validation and test, by the hash of a poem's text: stable when poems are added."""
    splits: dict[str, list[Poem]] = {name: [] for name in SPLITS}
    by_form = defaultdict(list)
    for poem in poems:
        by_form[poem.form].append(poem)
    for form in FORMS:
        rest = sorted(by_form[form], key=lambda poem: hashlib.sha256(poem.text.encode()).digest())
        for name, count in _HELD_OUT.items():
            count = min(count, len(rest) // 10)
            splits[name] += rest[:count]
            rest = rest[count:]
        splits["train"] += rest
    return splits


def respelt(poem: Poem) -> Poem:
    """The poem in standard spelling. Done after splitting, so that the spelling table moves no poem."""
    lines = tuple(standard_spelling(line) for line in poem.lines)
    return replace(poem, title=standard_spelling(poem.title), lines=lines)


def load(folder: Path, name: str) -> list[Poem]:
    """Read a split that `write` wrote."""
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return [
        Poem(**{**record, "lines": tuple(record["lines"]), "keywords": tuple(record.get("keywords", ()))})
        for record in records
    ]


def fault_of(lines: Sequence[str]) -> str | None:
    """Why these lines are no poem: `not_chinese`, `odd_character` or `no_form`; None if they are one."""
    if not all(is_han(line) for line in lines):
        return "not_chinese"
    if any(_SPELLING.search(line) for line in lines):
        return "odd_character"
    return None if form_of(lines) else "no_form"


def _simplified(records: Iterable[dict]) -> Iterator[dict]:
    convert = simplifier()
    for record in records:
        yield {
            **record,
            "author": convert(record["author"]),
            "title": convert(record["title"]),
            "paragraphs": [convert(paragraph) for paragraph in record["paragraphs"]],
        }


def _as_poem(record: dict) -> Poem | None:
    lines = tuple(line for line in _PUNCTUATION.split("".join(record["paragraphs"])) if line)
    form = form_of(lines)
    if form is None or fault_of(lines):
        return None
    return Poem(
        form=form.name,
        dynasty=record["dynasty"],
        author=record["author"],
        title=record["title"],
        lines=lines,
    )


def _without_duplicates(poems: Iterable[Poem]) -> list[Poem]:
    earlier = Earlier()
    return [poem for poem in poems if earlier.like(poem) is None]


class Earlier:
    """The poems met so far, to tell what repeats one of them."""

    def __init__(self) -> None:
        self._kept: list[Poem] = []
        self._seen: dict[tuple[str, str], list[int]] = defaultdict(list)

    def like(self, poem: Poem) -> Poem | None:
        """The earlier poem that this one repeats, whole or in three characters out of four, place by place.

        One that repeats none is remembered.
        """
        keys = {(poem.form, part) for line in poem.lines for part in (line[:4], line[-4:])}
        shared = Counter(index for key in keys for index in self._seen[key])
        for index, count in shared.items():
            if count > 1 and _similarity(poem, self._kept[index]) >= _NEAR_DUPLICATE:
                return self._kept[index]
        for key in keys:
            self._seen[key].append(len(self._kept))
        self._kept.append(poem)
        return None


def _similarity(one: Poem, other: Poem) -> float:
    """Share of places with the same character, of two poems of one form."""
    return sum(a == b for a, b in zip(one.text, other.text, strict=True)) / len(one.text)


def write(splits: Mapping[str, Sequence[Poem]], out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write each split, and `corpus.json`: `facts`, counts, a SHA-256 of each split. Returns the latter."""
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {**facts, "splits": {}}
    for name, poems in splits.items():
        path = out / f"{name}.jsonl"
        path.write_text("".join(_row(poem) for poem in poems), encoding="utf-8")
        counts = Counter(f"{poem.form}/{poem.dynasty}" for poem in poems)
        summary["splits"][name] = {
            "sha256": sha256_of(path),
            "poems": len(poems),
            **dict(sorted(counts.items())),
        }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (out / "corpus.json").write_text(text, encoding="utf-8")
    return summary


def _row(poem: Poem) -> str:
    """A line of a split; without keywords it has no such field, as in corpora of old."""
    record = asdict(poem)
    if not poem.keywords:
        del record["keywords"]
    return json.dumps(record, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.corpus", description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="the unpacked npm package")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    splits = split(clean_poems(options.package))
    respelt_splits = {name: [respelt(poem) for poem in poems] for name, poems in splits.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "source": "npm chinese-poetry (MIT), dist/quantangshi; 词: songci, wudaishici",
        "ci": ci.write(ci.clean(options.package), options.out / "ci.jsonl"),
    }
    print(json.dumps(write(respelt_splits, options.out, facts), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
