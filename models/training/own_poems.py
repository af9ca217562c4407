"""Your own poems as a corpus that a poet can be trained on, or trained further on.

    python -m models.training.own_poems --in poems.csv --field content=text --field author=poet --out runs/own

reads JSON Lines in the CCPC format, a JSON array, CSV with a header, or plain text with a poem a line, and
writes what `models.training.corpus` writes: `train.jsonl`, `validation.jsonl`, `test.jsonl`, `corpus.json`.
Rows that are no poem are counted on stderr and listed in `bad_rows.jsonl`. See docs/own-poems.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.bundle import sha256_of
from models.training.corpus import Earlier, Poem, load, split, write
from models.training.keyword_extraction import Extractor
from models.training.keywords import read_keywords
from models.training.poem_files import LAYOUTS, Row, layout_of, read_rows
from models.training.row_reader import FIELDS, BadRow, RowReader

BAD_ROWS = "bad_rows.jsonl"


@dataclass(kw_only=True)
class Outcome:
    """What became of the rows.

    Attributes:
        poems: in the order of the rows.
        bad: of each bad row the file's name, the line, the reason, what is wrong, and how the row begins.
        keywords: how many poems came with keywords (`given`), got some from the list (`extracted`), or
            have `none`.
        files: of each file its name, SHA-256 and layout, the number of rows and of poems.
    """

    poems: list[Poem] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    keywords: Counter[str] = field(default_factory=Counter)
    files: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """The number of bad rows by reason, the commonest first."""
        return dict(Counter(row["reason"] for row in self.bad).most_common())


class Importer:
    """Reads files one after the other.

    Args:
        names: what each of `FIELDS` is called in the rows.
        extractor: finds keywords for poems without; None leaves them without.
        apart_from: poems that are held out elsewhere; a row that repeats one is a bad row.
    """

    def __init__(
        self, names: Mapping[str, str], extractor: Extractor | None = None, apart_from: Sequence[Poem] = ()
    ) -> None:
        self.outcome = Outcome()
        self._rows = RowReader(names)
        self._extractor = extractor
        self._apart = frozenset(apart_from)
        self._earlier = Earlier()
        for poem in apart_from:
            self._earlier.like(poem)

    def read(self, path: Path, layout: str) -> None:
        """Add a file's poems to `outcome`. Raises OSError."""
        outcome = self.outcome
        count = Counter[str]()
        for row in read_rows(path, layout):
            count["rows"] += 1
            try:
                outcome.poems.append(self._with_keywords(self._new(row)))
                count["poems"] += 1
            except BadRow as bad:
                place = {"file": path.name, "line": row.line, "reason": bad.reason}
                outcome.bad.append({**place, "detail": str(bad), "row": row.text[:200]})
        facts = {"name": path.name, "sha256": sha256_of(path), "layout": layout}
        outcome.files.append({**facts, "rows": count["rows"], "poems": count["poems"]})

    def _new(self, row: Row) -> Poem:
        poem = self._rows.poem(row)
        earlier = self._earlier.like(poem)
        if earlier is not None:
            reason = "held_out" if earlier in self._apart else "duplicate"
            raise BadRow(reason, f"as {'|'.join(earlier.lines)}")
        return poem

    def _with_keywords(self, poem: Poem) -> Poem:
        found = poem.keywords
        if not found and self._extractor:
            found = self._extractor.keywords_of(poem)
        self.outcome.keywords["given" if poem.keywords else "extracted" if found else "none"] += 1
        return replace(poem, keywords=found)


def save(outcome: Outcome, out: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the corpus and the list of bad rows. Returns what `corpus.json` says."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / BAD_ROWS).open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in outcome.bad)
    counts = {"bad_rows": outcome.reasons, "keywords": dict(sorted(outcome.keywords.items()))}
    return write(split(outcome.poems), out, {"source": outcome.files, **facts, **counts})


def report(outcome: Outcome, summary: Mapping[str, Any], out: Path) -> str:
    """What a person is told when all is done."""
    told = [f"{file['name']}: {file['poems']} poems in {file['rows']} rows" for file in outcome.files]
    if outcome.bad:
        reasons = ", ".join(f"{count} {reason}" for reason, count in outcome.reasons.items())
        told.append(f"{len(outcome.bad)} bad rows ({reasons}), listed in {out / BAD_ROWS}")
    if not outcome.poems:
        told.append(f"no poem is left. First bad row: {outcome.bad[:1]}")
    elif not summary["splits"]["validation"]["poems"]:
        told.append("too few to hold any out: training needs ten poems of one form")
    return "\n".join(told)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    names = dict(zip(FIELDS, FIELDS, strict=True)) | dict(options.field)
    apart = options.apart_from
    held_out = [poem for name in ("validation", "test") for poem in load(apart, name)] if apart else []
    extractor = None if options.no_extract else Extractor(read_keywords(options.keywords))
    importer = Importer(names, extractor, held_out)
    for path in options.files:
        try:
            layout = options.format or layout_of(path)
            if layout is None:
                parser.error(f"{path}: its suffix does not tell, give --format")
            importer.read(path, layout)
        except OSError as error:
            parser.error(f"{path}: {error.strerror}")
    summary = save(importer.outcome, options.out, {"licence": options.licence, "fields": names})
    print(report(importer.outcome, summary, options.out), file=sys.stderr)
    print(json.dumps(summary, indent=2, ensure_ascii=False))
    return 0 if importer.outcome.poems else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training.own_poems", description=__doc__)
    add = parser.add_argument
    add("--in", type=Path, required=True, nargs="+", action="extend", dest="files", metavar="FILE")
    add("--out", type=Path, required=True, help="folder of the corpus to write")
    add("--format", choices=LAYOUTS, help="of all files; else each file's suffix tells")
    add("--field", type=_mapping, action="append", default=[], metavar="OURS=THEIRS", help=" ".join(FIELDS))
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"), help="list to extract from")
    add("--no-extract", action="store_true", help="leave poems without keywords as they are")
    add("--apart-from", type=Path, metavar="CORPUS", help="leave out what repeats its held-out poems")
    add("--licence", default="not stated", help="of the poems, for corpus.json")
    return parser


def _mapping(text: str) -> tuple[str, str]:
    ours, _, theirs = text.partition("=")
    if ours not in FIELDS or not theirs:
        raise argparse.ArgumentTypeError(f"{text!r} is not OURS=THEIRS with OURS one of {', '.join(FIELDS)}")
    return ours, theirs


if __name__ == "__main__":
    sys.exit(main())
