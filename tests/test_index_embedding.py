"""Embedding through the cache: what is encoded again, and that a cache changes no bit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fake_encoder import FakeEncoder
from index_builder import artifact
from index_builder.build import EmbeddingOptions, build_version
from index_builder.cache import EmbeddingCache
from index_builder.embedding import Embedder
from index_builder.embedding_processes import open_encoder, spread
from index_builder.keywords import KeywordList, read_keywords
from models.bundle import open_bundle
from models.clip import Encoder

ROOT = Path(__file__).resolve().parent.parent
LITE = ROOT / "models" / "bundles" / "lite"
_NUMBERS = "零一二三四五六七八九"
# Of two and three characters.
WORDS = tuple(
    f"{'山' * (number // 60)}{_NUMBERS[number // 10 % 10]}{_NUMBERS[number % 10]}" for number in range(110)
)


# Batches of probe words with which each embedder begins.
PROBES = 2


class Uneven(FakeEncoder):
    """Rounds the words on odd places otherwise."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = super().encode_texts(texts)
        rows[1::2] = np.nextafter(rows[1::2], np.float32(1))
        return rows


class Neighbourly(FakeEncoder):
    """Rounds each word by the words beside it, as dynamic quantisation does."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = super().encode_texts(texts)
        noise = np.float32(1e-6 * (len(set(texts)) + sum(map(len, texts))))
        return (rows + noise * (len(set(texts)) > 1)).astype(np.float32)


class Drifted(FakeEncoder):
    """The same encoder on another processor."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.nextafter(super().encode_texts(texts), np.float32(1))


def keyword_list(words: Sequence[str]) -> KeywordList:
    return KeywordList(words=tuple(words), dropped={}, source="list.txt", sha256="")


def embedded(words: Sequence[str], encoder: FakeEncoder, cache: EmbeddingCache | None = None) -> np.ndarray:
    out = np.empty((len(words), encoder.dimension), np.float32)
    Embedder(encoder, cache=cache, batch=16).embed(words, out)
    return out


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache.sqlite", 16)


def test_every_call_of_the_encoder_is_a_full_batch_of_words_of_one_length() -> None:
    asked: list[list[str]] = []

    class Watched(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            asked.append(list(texts))
            return super().encode_texts(texts)

    rows = embedded(WORDS, Watched())
    assert {len(batch) for batch in asked} == {16}
    assert all(len({len(word) for word in batch}) == 1 for batch in asked)
    np.testing.assert_array_equal(rows, FakeEncoder().encode_texts(WORDS))


def test_only_new_words_are_encoded(cache: EmbeddingCache) -> None:
    embedded(WORDS[:100], FakeEncoder(), cache)
    encoder = FakeEncoder()
    rows = embedded(WORDS, encoder, cache)
    assert encoder.batches == [16] * PROBES + [16]  # ten words
    np.testing.assert_array_equal(rows, FakeEncoder().encode_texts(WORDS))


def test_templates_are_cached_apart(cache: EmbeddingCache) -> None:
    encoder, out = FakeEncoder(), np.empty((110, 16), np.float32)
    for template in ("{}", "一幅有{}的画"):
        Embedder(encoder, cache=cache, batch=16).embed(WORDS, out, template=template)
    np.testing.assert_array_equal(out, encoder.encode_texts([f"一幅有{word}的画" for word in WORDS]))
    before = len(encoder.batches)
    Embedder(encoder, cache=cache, batch=16).embed(WORDS, out, template="{}")
    assert len(encoder.batches) == before + PROBES
    np.testing.assert_array_equal(out, encoder.encode_texts(WORDS))


def test_an_encoder_whose_words_depend_on_their_neighbours_gets_them_alone(cache: EmbeddingCache) -> None:
    whole = embedded(WORDS, Neighbourly())
    embedded(WORDS[::2], Neighbourly(), cache)
    np.testing.assert_array_equal(embedded(WORDS, Neighbourly(), cache), whole)
    assert Embedder(Neighbourly(), cache=cache, batch=16).batch == 1


def test_an_encoder_to_which_the_place_matters_gets_each_word_twice(cache: EmbeddingCache) -> None:
    embedder = Embedder(Uneven(), cache=cache, batch=16)
    assert (embedder.batch, embedder.repeats) == (16, 2)
    whole = embedded(WORDS, Uneven())
    np.testing.assert_array_equal(whole, FakeEncoder().encode_texts(WORDS))
    embedded(WORDS[::2], Uneven(), cache)
    np.testing.assert_array_equal(embedded(WORDS, Uneven(), cache), whole)


def test_words_that_are_not_all_chinese_go_alone() -> None:
    encoder = FakeEncoder()
    embedded(("明月", "A月", "B月", "秋江"), encoder)
    assert len(encoder.batches) == 2 * PROBES + 3


@pytest.mark.parametrize("other", [Drifted(), FakeEncoder(dimension=16, name="x")])
def test_a_cache_of_other_vectors_is_begun_anew(cache: EmbeddingCache, other: FakeEncoder) -> None:
    embedded(WORDS, FakeEncoder(), cache)
    np.testing.assert_array_equal(embedded(WORDS, other, cache), embedded(WORDS, other))


def test_an_altered_row_counts_as_missing(tmp_path: Path, cache: EmbeddingCache) -> None:
    embedded(WORDS, FakeEncoder(), cache)
    with sqlite3.connect(tmp_path / "cache.sqlite") as database:
        database.execute("UPDATE vectors SET vector = zeroblob(64) WHERE word = '零七'")
        database.execute("UPDATE vectors SET vector = x'00' WHERE word = '零八'")
    database.close()
    encoder = FakeEncoder()
    np.testing.assert_array_equal(embedded(WORDS, encoder, cache), FakeEncoder().encode_texts(WORDS))
    assert encoder.batches == [16] * PROBES + [16]


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be one" * 200])
def test_a_file_that_is_no_database_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(content)
    embedded(WORDS, FakeEncoder(), EmbeddingCache(path, 16))
    encoder = FakeEncoder()
    embedded(WORDS, encoder, EmbeddingCache(path, 16))
    assert encoder.batches == [16] * PROBES


def test_a_cache_that_breaks_while_it_is_open_is_an_error_of_the_disk(cache: EmbeddingCache) -> None:
    cache._database.execute("DROP TABLE vectors")
    with pytest.raises(OSError, match="may be deleted"):
        embedded(WORDS, FakeEncoder(), cache)


def test_a_list_with_a_tenth_more_words_is_built_as_if_from_nothing(tmp_path: Path) -> None:
    """With the encoder that is shipped, bit for bit, and the new words encoded alone."""
    words = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv", all_words=True).words[:1100]
    encoder = Encoder.open(open_bundle(LITE, kind="encoder"), threads=1)
    build_version(keyword_list(words[:999]), encoder, root=tmp_path / "grown")
    asked: list[int] = []

    class Counting:
        name, fingerprint, dimension = encoder.name, encoder.fingerprint, encoder.dimension

        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            asked.append(len(texts))
            return encoder.encode_texts(texts)

    grown = build_version(keyword_list(words), Counting(), root=tmp_path / "grown")
    whole = build_version(keyword_list(words), encoder, root=tmp_path / "whole", use_cache=False)
    one = artifact.verify(tmp_path / "grown", grown)
    two = artifact.verify(tmp_path / "whole", whole)
    assert one["files"] == two["files"]
    assert sum(asked) < 400  # of 1,100


def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    words = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv").words[:200]
    encoder = Encoder.open(open_bundle(LITE, kind="encoder"), threads=1)
    options = EmbeddingOptions(templates=("{}", "{}图"))
    alone = build_version(keyword_list(words), encoder, root=tmp_path / "alone", embedding=options)
    with spread(partial(open_encoder, LITE, "cpu", 1), 2) as encode:
        shared = build_version(
            keyword_list(words), encoder, root=tmp_path / "shared", embedding=options, encode=encode
        )
    files = [
        artifact.read_version(tmp_path / name, version)["files"]
        for name, version in (("alone", alone), ("shared", shared))
    ]
    assert files[0] == files[1]


class Visible(FakeEncoder):
    """Tells by its vectors which GPU its process sees."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        import os

        return np.full((len(texts), 1), float(os.environ["CUDA_VISIBLE_DEVICES"]), np.float32)


def test_each_process_sees_a_gpu_of_its_own() -> None:
    with spread(Visible, 2, gpus=("3", "5")) as encode:
        seen = {float(rows[0, 0]) for rows in encode(["月"] for _ in range(200))}
    assert seen <= {3.0, 5.0}
    assert seen
