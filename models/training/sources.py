"""A bundle that tells of a line of verse which poem of the training split it is copied from.

    python -m models.training.sources --corpus runs/corpus --package package --out models/bundles/sources

writes what `models.sources` reads: hashes of the lines, and dynasties, authors and titles of the poems. No
text of a poem is in it. A line that stands in several poems gets the earliest; `--package`, the npm package
that the corpus was made of, tells which authors are earlier. The same split gives the same bytes (with one
version of zlib and liblzma).
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from models.bundle import Bundle, sha256_of, write_bundle
from models.sources import (
    AUTHORS,
    BUCKETS,
    KIND,
    RECORDS,
    REPEATED,
    TITLES,
    Layout,
)
from models.training.corpus import Poem, load, read_package
from models.training.spelling import simplifier

# One title in twenty-five is longer; the longest, a preface of 207 characters, names nothing better.
LONGEST_TITLE = 24
# Text of 16-bit codes packs best with these.
_TITLES_FILTER = {
    "id": lzma.FILTER_LZMA2,
    "preset": 9 | lzma.PRESET_EXTREME,
    "lc": 0,
    "lp": 1,
    "pb": 1,
    "dict_size": 1 << 22,
}
# Dynasty, author, title.
Name = tuple[str, str, str]
Author = tuple[str, str]
_ORDER = ("tang", "song")
_COMMAND = "python -m models.training.sources --corpus C --out BUNDLE"
_LICENCE = "Apache-2.0; hashes, authors and titles of poems of the npm package chinese-poetry (MIT)"


def name_of(poem: Poem) -> Name:
    """What names the poem: white space made one space, a long title cut."""
    dynasty, author, title = map(_plain, (poem.dynasty, poem.author, poem.title))
    if len(title) > LONGEST_TITLE:
        title = title[: LONGEST_TITLE - 1] + "…"
    return dynasty, author, title


def author_places(package: Path) -> dict[Author, float]:
    """Where an author's poems stand in the package, in the median: its books go by the authors' lives.

    Not where the first one stands: songs and poems of unsure date are gathered in front.
    """
    places = defaultdict(list)
    for place, record in enumerate(read_package(package)):
        places[record["dynasty"], record["author"]].append(place)
    simplified = simplifier()
    return {(dynasty, _plain(simplified(name))): median(where) for (dynasty, name), where in places.items()}


def earliest(
    poems: Iterable[Poem], authors: Mapping[Author, float] | None = None
) -> tuple[dict[str, Name], set[str]]:
    """Of every line its earliest poem, and the lines that stand in a poem of another name too.

    Tang comes before Song, and Song before all others; within a dynasty the `authors` with a lower number
    come first, then the others; then the poems' order decides.
    """
    authors = authors or {}

    def age(name: Name) -> tuple[int, float]:
        return _age(name[0]), authors.get(name[:2], math.inf)

    first: dict[str, Name] = {}
    repeated = set()
    for poem in sorted(poems, key=lambda poem: age(name_of(poem))):
        name = name_of(poem)
        for line in poem.lines:
            if first.setdefault(line, name) != name:
                repeated.add(line)
    return first, repeated


def write(
    poems: Iterable[Poem],
    out: Path,
    facts: Mapping[str, Any],
    authors: Mapping[Author, float] | None = None,
) -> Bundle:
    """Write the bundle of one poem or more. `facts` go into its manifest."""
    first, repeated = earliest(poems, authors)
    names = sorted(set(first.values()), key=lambda name: (_age(name[0]), name))
    layout, buckets, checks = _salted(list(first), Layout.smallest(len(first), len(names)))
    number = {name: place for place, name in enumerate(names)}
    numbers = np.array([number[name] for name in first.values()], dtype=np.uint64)
    records = checks * np.uint64(layout.sources) + numbers
    order = np.lexsort((records, buckets))
    again = np.array([line in repeated for line in first])[order]
    characters, titles = _packed_titles([title for _, _, title in names])
    content = {
        RECORDS: pack(records[order], layout.width),
        BUCKETS: _huffman(_counts(buckets, layout.buckets)),
        REPEATED: zlib.compress(_gaps(np.flatnonzero(again)), 9),
        AUTHORS: lzma.compress(_author_rows(names, characters).encode()),
        TITLES: lzma.compress(titles, filters=[_TITLES_FILTER]),
    }
    manifest = {"kind": KIND, "name": KIND, **facts, "layout": asdict(layout)}
    manifest["false_positive_rate"] = float(f"{layout.false_positive_rate:.3g}")
    manifest["repeated_lines"] = len(repeated)
    return _write(out, manifest, content)


def pack(numbers: np.ndarray, width: int) -> bytes:
    """Numbers (N,) uint64 below 2^width, `width` bits each, lowest bit first; the last byte ends in zeros."""
    packed = bytearray()
    # Chunks of a multiple of eight numbers end where a byte ends; all at once would unpack to gigabytes.
    for start in range(0, len(numbers), 1 << 16):
        chunk = np.ascontiguousarray(numbers[start : start + (1 << 16)], dtype="<u8")
        bits = np.unpackbits(chunk.view(np.uint8).reshape(len(chunk), 8), axis=1, bitorder="little")
        packed += np.packbits(bits[:, :width], bitorder="little").tobytes()
    return bytes(packed)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _age(dynasty: str) -> int:
    return _ORDER.index(dynasty) if dynasty in _ORDER else len(_ORDER)


def _salted(lines: Sequence[str], layout: Layout) -> tuple[Layout, np.ndarray, np.ndarray]:
    """The first salt under which no two lines have one place, with the lines' buckets and checks, uint64.

    Every line of the corpus is then found, and found to be of its own poem.
    """
    while True:
        places = np.array([layout.place(line) for line in lines], dtype=np.uint64)
        if len(np.unique(places[:, 0] * np.uint64(layout.checks) + places[:, 1])) == len(lines):
            return layout, places[:, 0], places[:, 1]
        layout = replace(layout, salt=layout.salt + 1)


def _counts(buckets: np.ndarray, number: int) -> bytes:
    counts = np.bincount(buckets.astype(np.int64), minlength=number)
    if counts.max() > np.iinfo(np.uint8).max:
        raise ValueError(f"{counts.max()} lines in one bucket")
    return counts.astype(np.uint8).tobytes()


def _huffman(data: bytes) -> bytes:
    """zlib's format. Counts of hashes repeat nothing: to look for repeats costs an eighth more bytes."""
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return packer.compress(data) + packer.flush()


def _gaps(places: np.ndarray) -> bytes:
    return np.diff(places, prepend=0).astype("<u4").tobytes()


def _packed_titles(titles: Sequence[str]) -> tuple[str, bytes]:
    """The titles' characters, the commonest first, and the titles in their numbers, from 1; 0 ends one."""
    counts = Counter("".join(titles))
    characters = sorted(counts, key=lambda character: (-counts[character], character))
    number = {character: place for place, character in enumerate(characters, start=1)}
    codes = [number[character] if character else 0 for title in titles for character in (*title, "")]
    return "".join(characters), np.array(codes, dtype=">u2").tobytes()


def _author_rows(names: Sequence[Name], characters: str) -> str:
    """The text of `authors.xz`; names of one author stand together."""
    counts = Counter((dynasty, author) for dynasty, author, _ in names)
    rows = [f"{dynasty}\t{author}\t{count}" for (dynasty, author), count in counts.items()]
    return "\n".join([characters, *rows, ""])


def _write(out: Path, manifest: Mapping[str, Any], content: Mapping[str, bytes]) -> Bundle:
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in content}
        for name, data in content.items():
            files[name].write_bytes(data)
        return write_bundle(out, manifest, files)


def _facts(corpora: Sequence[Path], package: Path | None) -> dict[str, Any]:
    """Licence and origin; `corpus.json` tells where the poems are not those that are shipped."""
    about = [json.loads((corpus / "corpus.json").read_text(encoding="utf-8")) for corpus in corpora]
    licences = [f"of the poems: {each['licence']}" if "licence" in each else _LICENCE for each in about]
    return {
        "licence": "; ".join(dict.fromkeys(licences)),
        "training": {
            "command": _COMMAND + (" --package P" if package else ""),
            "corpora": [
                {
                    "source": each["source"],
                    "poems": each["splits"]["train"]["poems"],
                    "sha256": sha256_of(corpus / "train.jsonl"),
                }
                for corpus, each in zip(corpora, about, strict=True)
            ],
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.sources", description=__doc__)
    parser.add_argument(
        "--corpus", type=Path, nargs="+", required=True, help="folders written by models.training.corpus"
    )
    parser.add_argument("--package", type=Path, help="the unpacked npm package, for the authors' order")
    parser.add_argument("--out", type=Path, required=True, help="the bundle to write")
    options = parser.parse_args(arguments)
    poems = [poem for corpus in options.corpus for poem in load(corpus, "train")]
    if not poems:
        parser.error("there is no poem, so no line to know again")
    authors = author_places(options.package) if options.package else None
    print(_told(write(poems, options.out, _facts(options.corpus, options.package), authors), len(poems)))


def _told(bundle: Bundle, poems: int) -> str:
    layout = Layout(**bundle.manifest["layout"])
    size = sum(path.stat().st_size for path in bundle.files.values())
    return (
        f"{layout.lines} lines of {poems} poems, {bundle.manifest['repeated_lines']} of them in several; "
        f"{size} bytes; of other lines {layout.false_positive_rate:.2g} at most are taken for one of them"
    )


if __name__ == "__main__":
    main()
