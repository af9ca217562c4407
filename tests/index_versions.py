"""Published versions of a keyword index whose words tell which version they are of."""

from __future__ import annotations

from pathlib import Path

from fakes import FakeEncoder
from index_builder import artifact
from index_builder.build import TextEncoder, build_version
from index_builder.keywords import KeywordList

ENCODER = FakeEncoder()
MARKS = "甲乙丙丁戊己庚辛壬癸子丑"


def words_of(mark: str, count: int = 40) -> tuple[str, ...]:
    """Words that no other mark's list holds."""
    return tuple(f"{mark}{chr(0x4E00 + place)}" for place in range(count))


def build(root: Path, mark: str, encoder: TextEncoder = ENCODER) -> str:
    """A version of the words of a mark, unpublished."""
    words = KeywordList(words=words_of(mark), dropped={}, source=f"{mark}.txt", sha256="0" * 64)
    return build_version(words, encoder, root=root)


def publish(root: Path, mark: str) -> str:
    version = build(root, mark)
    artifact.publish(root, version)
    return version


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
