"""Where a line of verse stands already: the poem of the training split that it is a line of.

A bundle of the kind `sources` holds no text of a poem, only what is needed to recognise a line and to name
its poem. The 64-bit BLAKE2b hash of a line gives a bucket and a check; the bucket's records are compared with
the check one by one. A record is one number, check × sources + source, in as few bits as it needs, so that a
line costs 38 bits besides its bucket's share. Authors and titles lie apart and are unpacked at the first hit.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from threading import Lock
from typing import Self

import numpy as np

from models.bundle import Bundle, CorruptArtifact

KIND = "sources"
BUCKETS, RECORDS, REPEATED, AUTHORS, TITLES = (
    "buckets.zlib",
    "records.bin",
    "repeated.zlib",
    "authors.xz",
    "titles.xz",
)
# A line that stands nowhere is taken for one that does at most this often.
MOST_FALSE_POSITIVES = 1e-6
# A start for each bucket would take four times the memory of the counts.
_GROUP = 16
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """A poem.

    Attributes:
        dynasty: `tang`, `song`, or what a corpus of one's own says.
        author: empty where the corpus names none.
        title: as in the corpus, its number in a series included; a long one is cut and ends in `…`.
        elsewhere: the line stands in other poems of the corpus too.
    """

    dynasty: str
    author: str
    title: str
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How lines are hashed and records laid out.

    Attributes:
        lines: number of different lines.
        sources: number of different poems that they name.
        buckets: a power of two.
        width: bits of a record.
        salt: of the hash; one under which no two of the lines collide.
    """

    lines: int
    sources: int
    buckets: int
    width: int
    salt: int = 0

    @classmethod
    def smallest(cls, lines: int, sources: int) -> Self:
        """One or two lines a bucket, and as few bits a record as false positives allow.

        Of very many lines two would collide under almost any salt; there a record gets more bits.
        """
        most = min(MOST_FALSE_POSITIVES, 1.5 / lines)
        layout = cls(lines=lines, sources=sources, buckets=1 << (lines.bit_length() - 1), width=1)
        while layout.checks == 0 or layout.false_positive_rate > most:
            layout = replace(layout, width=layout.width + 1)
        return layout

    @property
    def checks(self) -> int:
        """Number of different checks."""
        return (1 << self.width) // self.sources

    @property
    def false_positive_rate(self) -> float:
        """Probability that a line that stands nowhere is taken for one that does, at most.

        It is compared with the records of one bucket, `lines / buckets` of them on average, and each has its
        check with probability 1 / `checks`.
        """
        return self.lines / (self.buckets * self.checks)

    def place(self, line: str) -> tuple[int, int]:
        """Bucket and check of a line."""
        salt = self.salt.to_bytes(8, "little")
        digest = hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8, salt=salt).digest()
        number, bucket = divmod(int.from_bytes(digest, "little"), self.buckets)
        return bucket, number % self.checks


class Sources:
    """A bundle of sources, opened. Immutable, and safe for use by several threads at once.

    Attributes:
        name: as in the bundle's manifest.
        fingerprint: the bundle's.
        layout: with the number of lines and of poems.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.name = bundle.name
        self.fingerprint = bundle.fingerprint
        self.layout = Layout(**bundle.manifest["layout"])
        self._records = bundle.file(RECORDS).read_bytes()
        self._counts = zlib.decompress(bundle.file(BUCKETS).read_bytes())
        self._starts = _starts(self._counts)
        gaps = np.frombuffer(zlib.decompress(bundle.file(REPEATED).read_bytes()), dtype="<u4")
        self._repeated = np.cumsum(gaps, dtype=np.uint32)
        self._poems = _Poems(bundle)
        self._check()

    @classmethod
    def open(cls, bundle: Bundle) -> Sources:
        """Open a bundle of the kind `sources`. Raises CorruptArtifact."""
        try:
            return cls(bundle)
        except (LookupError, TypeError, ValueError, ArithmeticError, OSError, zlib.error) as error:
            raise CorruptArtifact(f"{bundle.path}: not a bundle of sources: {error!r}") from error

    def of(self, line: str) -> Source | None:
        """The poem that `line` is a whole line of, the earliest of several; None where there is none.

        A line counts as it stands: simplified, in standard spelling, without punctuation. Raises
        CorruptArtifact, at the first hit, where authors or titles do not fit the records.
        """
        bucket, check = self.layout.place(line)
        start, stop = self._bucket(bucket)
        width, sources = self.layout.width, self.layout.sources
        first = start * width
        bits = int.from_bytes(self._records[first >> 3 : (stop * width + 7) >> 3], "little") >> (first & 7)
        for record in range(start, stop):
            found, source = divmod(bits & ((1 << width) - 1), sources)
            if found == check:
                return Source(*self._poems.named(source), elsewhere=self._is_repeated(record))
            bits >>= width
        return None

    def prepare(self) -> None:
        """Unpack authors and titles now instead of at the first hit. Raises CorruptArtifact."""
        self._poems.named(0)

    def _bucket(self, bucket: int) -> tuple[int, int]:
        """The place of the bucket's first record, and of the next bucket's."""
        group = bucket // _GROUP
        start = int(self._starts[group]) + sum(self._counts[group * _GROUP : bucket])
        return start, start + self._counts[bucket]

    def _is_repeated(self, record: int) -> bool:
        place = int(np.searchsorted(self._repeated, record))
        return place < len(self._repeated) and int(self._repeated[place]) == record

    def _check(self) -> None:
        layout = self.layout
        if not (min(layout.lines, layout.sources, layout.buckets, layout.width, layout.checks) > 0):
            raise ValueError("an impossible layout")
        if len(self._counts) != layout.buckets or int(self._starts[-1]) != layout.lines:
            raise ValueError(f"{BUCKETS} does not fit the layout")
        if len(self._records) != (layout.lines * layout.width + 7) // 8:
            raise ValueError(f"{RECORDS} does not fit the layout")


class _Poems:
    """Dynasty, author and title by number; unpacked when they are first asked for.

    `authors.xz` is text: on its first line the characters of the titles, then one author a line with dynasty
    and number of titles, parted by tabs. `titles.xz` holds the titles as the characters' places in that line,
    from 1, with a 0 at each title's end: 16 bits each, high byte first. Rarer characters have a higher high
    byte, which packs better than code points do.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._path = bundle.path
        self._count: int = bundle.manifest["layout"]["sources"]
        # Read now: later the folder may hold another bundle.
        self._packed = bundle.file(AUTHORS).read_bytes(), bundle.file(TITLES).read_bytes()
        self._names: _Names | None = None
        self._lock = Lock()

    def named(self, number: int) -> tuple[str, str, str]:
        """Raises CorruptArtifact."""
        try:
            names = self._names or self._unpack()
            return names.name(number)
        except (EOFError, ValueError, IndexError, lzma.LZMAError) as error:
            raise CorruptArtifact(f"{self._path}: authors or titles are damaged: {error!r}") from error

    def _unpack(self) -> _Names:
        with self._lock:
            if self._names is None:
                names = _Names(*map(_unpacked, self._packed))
                if not len(names.ends) == names.count == self._count:
                    raise ValueError(
                        f"{len(names.ends)} titles and {names.count} by author, not {self._count}"
                    )
                self._names, self._packed = names, (b"", b"")
            return self._names


class _Names:
    """Authors and titles, unpacked. Raises ValueError where they cannot be read.

    Attributes:
        count: number of titles by the authors' count.
        ends: the place in `titles` where each title ends, uint32.
    """

    def __init__(self, authors: bytearray, titles: bytearray) -> None:
        self._characters, *rows = authors.decode("utf-8").removesuffix("\n").split("\n")
        fields = [row.split("\t") for row in rows]
        self._authors = [(dynasty, author) for dynasty, author, _ in fields]
        *self._firsts, self.count = accumulate((int(count) for *_, count in fields), initial=0)
        self._codes = np.frombuffer(titles, dtype=">u2")
        self.ends = np.flatnonzero(self._codes == 0).astype(np.uint32)

    def name(self, number: int) -> tuple[str, str, str]:
        dynasty, author = self._authors[bisect_right(self._firsts, number) - 1]
        start = int(self.ends[number - 1]) + 1 if number else 0
        codes = self._codes[start : int(self.ends[number])].tolist()
        return dynasty, author, "".join(self._characters[code - 1] for code in codes)


def _unpacked(packed: bytes) -> bytearray:
    """Piece by piece: at once it would be held twice. Raises LZMAError or EOFError."""
    unpacker = lzma.LZMADecompressor()
    data = bytearray(unpacker.decompress(packed, _PIECE))
    while not unpacker.eof:
        if unpacker.needs_input:
            raise EOFError("the end is missing")
        data += unpacker.decompress(b"", _PIECE)
    return data


def _starts(counts: bytes) -> np.ndarray:
    """The place of the first record of each group of buckets, and of the end, uint32 (groups + 1,)."""
    groups = np.add.reduceat(
        np.frombuffer(counts, dtype=np.uint8), range(0, len(counts), _GROUP), dtype=np.uint32
    )
    return np.concatenate([[0], np.cumsum(groups)]).astype(np.uint32)
