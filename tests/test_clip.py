"""The shipped encoder: pictures and any text become unit vectors of one space."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle, CorruptArtifact, open_bundle
from models.clip import Encoder, LongestMatch
from models.image import InvalidImage
from models.session import ProviderUnavailable

ROOT = Path(__file__).resolve().parent.parent
LITE = ROOT / "models" / "bundles" / "lite"
TEXTS = [
    "瀑布",
    "舟",
    "秋江",
    "春风又绿江南岸",
    "魑魅",
    "hello",
    "",
    " ",
    "😀",
    "明月 moon 明月",
    "\0",
    "楼" * 5_000,
]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(LITE, kind="encoder")


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Encoder:
    return Encoder.open(bundle, threads=1)


def picture(colour: str, size: tuple[int, int] = (320, 200), format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    image = Image.new("RGB", size, colour)
    image.paste("white", (0, 0, size[0] // 3, size[1] // 2))
    image.save(file, format)
    return file.getvalue()


def test_facts_come_from_the_bundle(bundle: Bundle, encoder: Encoder) -> None:
    assert (encoder.name, encoder.fingerprint) == ("lite", bundle.fingerprint)
    assert encoder.dimension == bundle.manifest["dimension"]
    assert encoder.providers == ["CPUExecutionProvider"]


def test_shipped_files_are_small(bundle: Bundle) -> None:
    towers = [bundle.file(name).stat().st_size for name in ("image.onnx", "text.onnx")]
    assert sum(towers) <= 20 * 2**20


def test_shipped_figures(bundle: Bundle) -> None:
    """On pictures that nothing was chosen by: what readers were promised."""
    figures = bundle.manifest["evaluation"]["final"]
    assert figures["precision_at_8"] >= 0.70
    assert figures["any_right"] >= 0.95
    assert figures["pictures"] >= 70


def test_any_text_has_a_unit_vector(encoder: Encoder) -> None:
    vectors = encoder.encode_texts(TEXTS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), encoder.dimension))
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_do_not_depend_on_their_batch(encoder: Encoder) -> None:
    together = encoder.encode_texts(TEXTS * 30)  # more than one batch
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert np.allclose(together, np.tile(alone, (30, 1)), atol=1e-6)


def test_traditional_characters_mean_the_same(encoder: Encoder) -> None:
    traditional, simplified = encoder.encode_texts(["樓閣", "楼阁"])
    assert np.array_equal(traditional, simplified)


def test_unknown_characters_count_for_nothing_beside_known_ones(encoder: Encoder) -> None:
    plain, decorated = encoder.encode_texts(["孤舟", "孤舟 (boat) 😀"])
    assert plain @ decorated > 0.999


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [
        ("瀑布", "飞泉", "琵琶"),
        ("孤舟", "扁舟", "菊花"),
        ("黄鹤矶头水", "江水", "宫殿"),
        ("雪", "霜", "蝉"),
    ],
)
def test_related_words_are_nearer(encoder: Encoder, word: str, near: str, far: str) -> None:
    probe, related, other = encoder.encode_texts([word, near, far])
    assert probe @ related > probe @ other + 0.1


def test_pictures_have_unit_vectors_in_any_batch(encoder: Encoder) -> None:
    pictures = [
        picture("navy"),
        picture("green", (200, 320), "PNG"),
        picture("red", (64, 4)),
        *[picture("gray")] * 7,
    ]
    together = encoder.encode_pictures(pictures)
    assert (together.dtype, together.shape) == (np.float32, (10, encoder.dimension))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.encode_pictures([data]) for data in pictures])
    assert np.allclose(together, alone, atol=1e-4)


def test_several_pictures_side_by_side(bundle: Bundle, encoder: Encoder) -> None:
    """With more threads than one a call's pictures go one thread each, and keep their order."""
    beside = Encoder.open(bundle, threads=2)
    pictures = [picture(colour) for colour in ("navy", "green", "red")]
    together = beside.encode_pictures(pictures)
    assert np.allclose(together, encoder.encode_pictures(pictures), atol=1e-4)
    assert beside.stats["picture"].runs == 0
    with pytest.raises(InvalidImage):
        beside.encode_pictures([pictures[0], b"not a picture"])


def test_nothing_gives_nothing(encoder: Encoder) -> None:
    assert encoder.encode_texts([]).shape == encoder.encode_pictures([]).shape == (0, encoder.dimension)


def test_broken_picture(encoder: Encoder) -> None:
    with pytest.raises(InvalidImage):
        encoder.encode_pictures([picture("navy"), b"not a picture"])


def test_a_known_photograph(encoder: Encoder) -> None:
    """A tiered pavilion above a lake."""
    data = (ROOT / "docs" / "pictures" / "pavilion.jpg").read_bytes()
    words = ["楼阁", "宫殿", "瀑布", "猿猴", "琵琶", "葡萄"]
    scores = encoder.encode_texts(words) @ encoder.encode_pictures([data])[0]
    assert scores[:2].min() > scores[2:].max()


def test_unknown_provider(bundle: Bundle) -> None:
    with pytest.raises(ProviderUnavailable):
        Encoder.open(bundle, provider="abacus")


@pytest.mark.parametrize(
    "change",
    [{"tokenizer": {"type": "runes"}}, {"tokenizer": None}, {"image": {"size": 260}}, {"image": {}}],
)
def test_manifest_of_no_known_encoder(bundle: Bundle, change: dict) -> None:
    odd = Bundle(path=bundle.path, manifest={**bundle.manifest, **change}, fingerprint="")
    with pytest.raises(CorruptArtifact, match="not an encoder's manifest"):
        Encoder.open(odd)


def test_manifest_names_its_sources(bundle: Bundle) -> None:
    assert all({"name", "package", "licence"} <= set(source) for source in bundle.manifest["sources"])
    assert len(bundle.manifest["training"]["corpus"]["sha256"]) == 64
    assert json.loads((LITE / "manifest.json").read_text(encoding="utf-8"))["kind"] == "encoder"


class TestLongestMatch:
    tokenize = LongestMatch(["?", "山", "水", "山水", "画"], variants={"畫": "画"}, limit=4)

    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            ("山水画", [3, 4]),
            ("水山", [2, 1]),
            ("山水畫", [3, 4]),
            ("山x水", [1, 0, 2]),
            ("山 水\n", [3]),
            ("", [0]),
            ("水" * 9, [2, 2, 2, 2]),
        ],
    )
    def test_ids(self, text: str, ids: list[int]) -> None:
        assert self.tokenize(text) == ids
