"""How `lite` is made: word vectors, the shared space, and export parity of both towers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from models.clip import LongestMatch
from models.training.lite import concepts, export, head, space, vectors

SCENES = {
    "水": ["江上扁舟晚，沙头白鸟轻。", "扁舟江水阔，白鸟浪花轻。", "江水连沙岸，浪花没白鸥。"],
    "山": ["山寺闻钟晚，松门见鹤归。", "松门山寺冷，古塔野云归。", "山寺松风晚，钟声古塔微。"],
}


@pytest.fixture(scope="module")
def text() -> vectors.TextVectors:
    couplets = vectors.read_couplets(line for scene in SCENES.values() for line in scene * 20)
    return vectors.learn(couplets, dimension=6, wanted=["白鸟", "飞仙"])


@pytest.fixture(scope="module")
def shared(text: vectors.TextVectors) -> space.Space:
    words = [["扁舟", "江水"], ["山寺", "塔"], ["松", "鹤归"], ["未见", "沙"]]
    known = concepts.read_concepts()[:20]
    return space.build(text, [words[place % 4] for place in range(space.CLASSES)], known, unlearned(20))


def unlearned(count: int) -> head.Head:
    """A head that sees nothing."""
    nothing = np.zeros((head.FEATURES + count, count), np.float32)
    return head.Head(
        features=nothing[: head.FEATURES],
        evidence=nothing[head.FEATURES :],
        bias=np.full(count, head.NEVER, np.float32),
    )


def random_space(tokens: int = 300, dimension: int = 16) -> space.Space:
    chance = np.random.default_rng(3)
    rows = chance.standard_normal((tokens + space.CLASSES, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return space.Space(
        tokens=["�", *(chr(0x4E00 + place) for place in range(tokens - 1))],
        vectors=rows[:tokens],
        weights=np.concatenate([[1e-6], chance.random(tokens - 1)]).astype(np.float32),
        loads=np.eye(tokens, 5, -1, np.float32),
        never_seen=np.eye(1, tokens, 9, np.float32)[0],
        frequency=chance.uniform(-2, 2, tokens).astype(np.float32),
        classes=rows[tokens:],
        class_loads=chance.random((space.CLASSES, 5)).astype(np.float32),
        head=head.Head(
            features=0.1 * chance.standard_normal((head.FEATURES, 5)).astype(np.float32),
            evidence=chance.standard_normal((5, 5)).astype(np.float32),
            bias=chance.standard_normal(5).astype(np.float32),
        ),
        hub_mean=0.4,
    )


class TestVectors:
    def test_only_whole_chinese_couplets_are_read(self) -> None:
        couplets = vectors.read_couplets(["江水□沙岸。", "a b", "一句。", "长" * 12 + "。", "《诗》曰。"])
        assert couplets.lines == [["一句"]]

    def test_words_of_one_scene_are_nearer(self, text: vectors.TextVectors) -> None:
        row = {token: text.vectors[place] for place, token in enumerate(text.tokens)}
        assert row["扁舟"] @ row["浪花"] > row["扁舟"] @ row["古塔"]
        assert row["山寺"] @ row["塔"] > row["山寺"] @ row["鸟"]

    def test_shape_and_weights(self, text: vectors.TextVectors) -> None:
        assert text.vectors.shape == (len(text.tokens), 6)
        assert np.allclose(np.linalg.norm(text.vectors, axis=1), 1, atol=1e-5)
        weight = dict(zip(text.tokens, text.weights, strict=True))
        assert weight["晚"] < weight["微"]  # the more frequent, the less it says
        assert "白鸟" in weight
        assert "飞仙" not in weight

    def test_same_corpus_same_vectors(self, text: vectors.TextVectors) -> None:
        couplets = vectors.read_couplets(line for scene in SCENES.values() for line in scene * 20)
        again = vectors.learn(couplets, dimension=6, wanted=["白鸟", "飞仙"])
        assert again.tokens == text.tokens
        assert again.corpus_sha256 == text.corpus_sha256
        assert np.allclose(again.vectors, text.vectors, atol=1e-4)


class TestSpace:
    def test_lexicon_has_words_for_every_class(self) -> None:
        lexicon = space.read_lexicon()
        assert len(lexicon) == space.CLASSES
        assert all(2 <= len(words) <= 6 for words in lexicon)

    def test_a_picture_lies_among_the_words_of_its_class(self, shared: space.Space) -> None:
        certain = np.eye(space.CLASSES, dtype=np.float32)[:2]
        boat, temple = space.place_pictures(shared, certain, np.zeros((2, head.FEATURES), np.float32))
        words = space.encode_texts(shared, ["扁舟", "山寺"])
        assert boat @ words[0] > boat @ words[1]
        assert temple @ words[1] > temple @ words[0]

    def test_everything_is_a_unit_vector(self, shared: space.Space) -> None:
        chance = np.random.default_rng(0).dirichlet(np.ones(space.CLASSES), 5).astype(np.float32)
        features = np.ones((5, head.FEATURES), np.float32)
        rows = [
            space.place_pictures(shared, chance, features),
            space.encode_texts(shared, ["扁舟", "", "x", "塔塔"]),
        ]
        assert np.allclose(np.linalg.norm(np.concatenate(rows), axis=1), 1, atol=1e-5)

    def test_a_hub_scores_lower_than_its_similarity(self) -> None:
        """What lies near many classes loses a share of the excess."""
        shared = replace(random_space(), frequency=np.zeros(300, np.float32))
        features = np.zeros((1, head.FEATURES), np.float32)
        picture = space.place_pictures(shared, np.eye(space.CLASSES, dtype=np.float32)[:1], features)[0]
        texts = space.encode_texts(shared, shared.tokens[20:])
        words, hub = texts[:, :16], texts[:, 16]
        excess = space.hubness(shared.vectors[20:], shared.classes) - shared.hub_mean
        assert np.allclose(hub / np.linalg.norm(words, axis=1), -space.HUB_SCALE * excess, atol=1e-5)
        assert picture[16] > 0

    def test_what_is_named_and_seen_comes_first(self) -> None:
        shared = random_space()
        sees_first = replace(shared.head, bias=np.array([5, -20, -20, -20, -20], np.float32))
        shared = replace(shared, head=sees_first, class_loads=np.zeros_like(shared.class_loads))
        certain = np.eye(space.CLASSES, dtype=np.float32)[:1]
        picture = space.place_pictures(shared, certain, np.zeros((1, head.FEATURES), np.float32))[0]
        seen, unseen, never = picture @ space.encode_texts(shared, [*shared.tokens[1:3], shared.tokens[9]]).T
        assert seen > max(unseen, never)


class TestConcepts:
    def test_loads(self) -> None:
        known = {concept.name: concept for concept in concepts.read_concepts()}
        assert known["mountain"].load("青山") == 1
        assert known["mountain"].load("山花") == concepts.MODIFIER
        assert known["mountain"].load("花") == known["cloud"].load("云鬓") == 0
        assert not concepts.loads(["巫峡"], list(known.values()), frozenset(["巫峡"])).any()

    def test_files_are_well_formed(self) -> None:
        known = concepts.read_concepts()
        names = [concept.name for concept in known]
        assert len(set(names)) == len(names) < 256
        assert all(len(character) == 1 for concept in known for character in concept.characters)
        assert not [concept.name for concept in known if concept.words & concept.excluded]

    def test_the_head_belongs_to_the_concepts(self) -> None:
        names = [concept.name for concept in concepts.read_concepts()]
        assert (head.read(names).bias > head.NEVER).sum() > 30
        with pytest.raises(ValueError, match="other concepts"):
            head.read(names[1:])


def test_head_learns_what_is_shown(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    features = chance.standard_normal((60, head.FEATURES)).astype(np.float32)
    shown = np.stack([features[:, 0] > 0, np.zeros(60)], axis=1).astype(np.float32)
    features[:, :50] += 2 * shown[:, :1]
    fitted = head.fit(features, np.zeros((60, 2), np.float32), shown)
    head.save(fitted, ["first", "second"], tmp_path / "head.npz")
    guessed = head.read(["first", "second"], tmp_path / "head.npz")(features, np.zeros((60, 2), np.float32))
    assert ((guessed[:, 0] > 0.5) == (shown[:, 0] > 0)).all()
    assert (guessed[:, 1] < 1e-6).all()


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    path = tmp_path_factory.mktemp("lite") / "image.onnx"
    tower = export.ImageTower(export.load_classifier(), random_space())
    export.export_image(tower, path)
    return tower, ort.InferenceSession(path)


class TestExport:
    def test_text_tower_equals_the_reference(self, tmp_path: Path) -> None:
        shared = random_space()
        export.export_text(shared, tmp_path / "text.onnx")
        tower = ort.InferenceSession(tmp_path / "text.onnx")
        texts = ["", "一", "丁七", "".join(shared.tokens[1:40]), "x", "丁x"]
        tokenizer = LongestMatch(shared.tokens)
        rows = [tokenizer(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        got = tower.run(None, {"ids": ids, "mask": mask})[0]
        assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
        assert (got * space.encode_texts(shared, texts)).sum(axis=1).min() > 0.9995
        nothing = tower.run(None, {"ids": ids[:1], "mask": 0 * mask[:1]})[0]
        assert np.isfinite(nothing).all()

    @pytest.mark.parametrize("batch", [1, 3])
    def test_image_tower_equals_torch(self, batch: int, towers: tuple) -> None:
        tower, session = towers
        height = len(export.VIEWS) * export.SIZE
        pixels = np.random.default_rng(batch).standard_normal((batch, 3, height, 260)).astype(np.float32)
        with torch.no_grad():
            expected = tower(torch.from_numpy(pixels)).numpy()
        got = session.run(None, {"pixels": pixels})[0]
        assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)
        assert (got * expected).sum(axis=1).min() > 0.9995

    def test_image_tower_equals_the_reference(self, towers: tuple) -> None:
        tower, _ = towers
        pixels = torch.randn(2, 3, 780, 260, generator=torch.Generator().manual_seed(0))
        views = pixels.reshape(2, 3, 3, 260, 260)
        with torch.no_grad():
            logits = torch.stack([tower.classifier(views[:, :, place]) for place in range(3)])
            probabilities = (logits / space.TEMPERATURE).softmax(-1).mean(0).numpy()
            features, looked = export.look(tower.classifier, pixels)
            assert np.allclose(looked.numpy(), probabilities, atol=1e-5)
            expected = space.place_pictures(random_space(), probabilities, features.numpy())
            assert np.allclose(tower(pixels).numpy(), expected, atol=1e-4)
