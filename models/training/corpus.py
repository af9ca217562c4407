"""The npm package `chinese-poetry` turned into clean, deduplicated, split regulated verse.

    npm pack chinese-poetry && tar xzf chinese-poetry-*.tgz
    python -m models.training.corpus --package package --out runs/corpus

writes `train.jsonl`, `validation.jsonl`, `test.jsonl` (one poem a line) and `corpus.json` (counts, and a
SHA-256 of each split). The same package gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from models.bundle import sha256_of
from models.prosody import FORMS, Form, is_han

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
    """A regulated poem in simplified characters: `lines` has the number and length that `form` says."""

    form: str
    dynasty: str
    author: str
    title: str
    lines: tuple[str, ...]

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


def load(folder: Path, name: str) -> list[Poem]:
    """Read a split that `main` wrote."""
    with (folder / f"{name}.jsonl").open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return [Poem(**{**record, "lines": tuple(record["lines"])}) for record in records]


def form_of(lines: tuple[str, ...]) -> Form | None:
    """The form with this number and length of lines, if any."""
    lengths = {len(line) for line in lines}
    for form in FORMS.values():
        if len(lines) == form.lines and lengths == {form.characters}:
            return form
    return None


def _simplified(records: Iterable[dict]) -> Iterator[dict]:
    import opencc

    convert = opencc.OpenCC("t2s").convert
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
    if form is None or not all(is_han(line) and not _SPELLING.search(line) for line in lines):
        return None
    return Poem(
        form=form.name,
        dynasty=record["dynasty"],
        author=record["author"],
        title=record["title"],
        lines=lines,
    )


def _without_duplicates(poems: list[Poem]) -> list[Poem]:
    """Drop a poem that repeats an earlier one, whole or in three characters out of four, place by place."""
    kept: list[Poem] = []
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for poem in poems:
        keys = {(poem.form, part) for line in poem.lines for part in (line[:4], line[-4:])}
        shared = Counter(index for key in keys for index in seen[key])
        if any(_similarity(poem, kept[index]) >= _NEAR_DUPLICATE for index, n in shared.items() if n > 1):
            continue
        for key in keys:
            seen[key].append(len(kept))
        kept.append(poem)
    return kept


def _similarity(one: Poem, other: Poem) -> float:
    """Share of places with the same character, of two poems of one form."""
    return sum(a == b for a, b in zip(one.text, other.text, strict=True)) / len(one.text)


def _write(splits: dict[str, list[Poem]], out: Path) -> dict:
    out.mkdir(parents=True, exist_ok=True)
    summary: dict = {"source": "npm chinese-poetry (MIT), dist/quantangshi", "splits": {}}
    for name, poems in splits.items():
        path = out / f"{name}.jsonl"
        rows = (json.dumps(asdict(poem), ensure_ascii=False) + "\n" for poem in poems)
        path.write_text("".join(rows), encoding="utf-8")
        counts = Counter(f"{poem.form}/{poem.dynasty}" for poem in poems)
        summary["splits"][name] = {
            "sha256": sha256_of(path),
            "poems": len(poems),
            **dict(sorted(counts.items())),
        }
    (out / "corpus.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.corpus", description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="the unpacked npm package")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(_write(split(clean_poems(options.package)), options.out), indent=2))


if __name__ == "__main__":
    main()
