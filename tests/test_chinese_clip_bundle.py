"""A Chinese-CLIP as an encoder bundle: read from either kind of source, indexed, and asked for a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertTokenizer
from transformers.models.chinese_clip.image_processing_pil_chinese_clip import ChineseCLIPImageProcessorPil

from chinese_clip_reference import SHAPES, Shape, random_weights
from image2poem import Client
from index_builder import artifact
from index_builder.__main__ import main as index_builder
from models.bundle import open_bundle
from models.clip import Encoder
from models.image import ImageSpec, decode_image, to_pixels
from models.training.chinese_clip.checkpoint import InvalidSource, model_of
from models.training.chinese_clip.model import image_features, text_features
from models.training.chinese_clip.sources import MEAN, STD, open_source
from models.training.export_clip import main
from server.app import load_snapshot

POET = (("gpt2", Path(__file__).resolve().parent.parent / "models" / "bundles" / "gpt2"),)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
KEYWORDS = ["明月", "孤舟", "秋江", "飞瀑", "楼台", "烟波", "夕阳", "断崖", "春风", "江南岸"]
WORDS = [*KEYWORDS, "moon", "春风又绿江南岸"]
SHAPE = Shape(layers=1, text_layers=1)
LETTERS = [*sorted(set("".join(WORDS))), *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
VOCABULARY = [*SPECIAL, *LETTERS]
VOCABULARY += [f"[unused{place}]" for place in range(SHAPE.vocabulary - len(VOCABULARY))]


def picture(seed: int, size: tuple[int, int] = (90, 70), format: str = "PNG") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(out, format)
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as it comes from the Hugging Face hub."""
    path = tmp_path_factory.mktemp("hub")
    model_of(random_weights(SHAPE)).save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    facts = {
        "do_center_crop": False,
        "do_resize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "resample": 3,
        "size": {"height": SHAPE.size, "width": SHAPE.size},
    }
    (path / "preprocessor_config.json").write_text(json.dumps(facts))
    return path


def export(monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    """The command line, as typed."""
    monkeypatch.setattr("sys.argv", ["export_clip", *map(str, options)])
    main()


@pytest.fixture(scope="module")
def bundle_path(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "clip"
    with pytest.MonkeyPatch.context() as patch:
        export(patch, "--source", folder, "--out", out, "--name", "clip")
    return out


@pytest.fixture(scope="module")
def encoder(bundle_path: Path) -> Encoder:
    return Encoder.open(open_bundle(bundle_path, kind="encoder"), threads=1)


def test_vectors_are_those_of_transformers_with_its_own_processors(encoder: Encoder, folder: Path) -> None:
    """From bytes and texts to vectors: nothing of ours on the other side."""
    model = open_source(str(folder)).model
    processor = ChineseCLIPImageProcessorPil.from_pretrained(folder)
    tokenizer = BertTokenizer.from_pretrained(folder)
    pictures = [picture(1), picture(2, (40, 200)), picture(3, (64, 64))]
    pixels = processor([Image.open(io.BytesIO(data)) for data in pictures], return_tensors="pt")
    tokens = tokenizer(WORDS, padding=True, truncation=True, max_length=52, return_tensors="pt")
    with torch.no_grad():
        images = image_features(model, pixels["pixel_values"]).numpy()
        texts = text_features(model, tokens["input_ids"], tokens["attention_mask"]).numpy()
    np.testing.assert_allclose(encoder.encode_pictures(pictures), images, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(WORDS), texts, atol=1e-5)


@pytest.fixture(scope="module")
def index(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the index builder's command line, as it is."""
    root = tmp_path_factory.mktemp("index")
    (root / "words.txt").write_text("\n".join(KEYWORDS) + "\n", encoding="utf-8")
    places = ["--keywords", root / "words.txt", "--encoder", bundle_path, "--out", root / "index"]
    assert index_builder(["build", *map(str, places), "--publish"]) == 0
    return root / "index"


def test_an_index_finds_a_picture_s_keywords(index: Path, encoder: Encoder) -> None:
    opened = artifact.open_published(index, encoder_fingerprint=encoder.fingerprint)
    vector = encoder.encode_pictures([picture(4)])[0]
    scores = encoder.encode_texts(KEYWORDS) @ vector
    best = [KEYWORDS[place] for place in np.argsort(-scores)[:3]]
    assert [keyword.text for keyword in opened.nearest(vector, 3)] == best
    assert opened.nearest(encoder.encode_texts(["孤舟"])[0], 1)[0].text == "孤舟"


def test_the_server_answers_with_it(
    bundle_path: Path, index: Path, encoder: Encoder, serve: Callable[..., Any]
) -> None:
    running = serve(load=load_snapshot, encoder=bundle_path, index=index, poet=POET, sources=None)
    with Client(running.target, timeout=60) as client:
        found = client.lookup_keywords(picture=picture(4), top_k=3)
    scores = encoder.encode_texts(KEYWORDS) @ encoder.encode_pictures([picture(4)])[0]
    assert [keyword.text for keyword in found.keywords] == [
        KEYWORDS[place] for place in np.argsort(-scores)[:3]
    ]


def test_the_manifest_says_what_the_bundle_is(bundle_path: Path, encoder: Encoder) -> None:
    manifest = open_bundle(bundle_path).manifest
    assert (manifest["precision"], manifest["dimension"]) == ("fp32", SHAPE.dimension)
    assert manifest["image"]["views"] == ["squash"]
    assert manifest["tokenizer"]["limit"] == 52
    assert manifest["parity"]["image"]["difference"] <= 1e-4
    assert set(manifest["files"]) == {"image.onnx", "text.onnx", "vocab.txt"}
    assert encoder.dimension == SHAPE.dimension


@pytest.mark.parametrize(
    "size", [(640, 427), (427, 640), (224, 224), (225, 224), (100, 37), (1, 500), (900, 3)]
)
def test_pixels_are_those_of_the_processor(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    whole = {"height": 224, "width": 224}
    theirs = ChineseCLIPImageProcessorPil(do_center_crop=False, size=whole)(image, return_tensors="np")
    ours = to_pixels(image, ImageSpec(size=224, mean=MEAN, std=STD))
    np.testing.assert_allclose(ours, theirs["pixel_values"][0], atol=1e-6)


@pytest.mark.parametrize("size", [(640, 427), (427, 640), (224, 224), (300, 1000), (1, 500), (900, 3)])
def test_a_cropped_picture_is_the_processor_s_but_for_rounding(size: tuple[int, int]) -> None:
    image = decode_image(picture(5, size))
    theirs = ChineseCLIPImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
    ours = to_pixels(image, ImageSpec(size=224, mean=MEAN, std=STD, views=("crop",)))
    grey = 1 / 255 / min(STD)
    assert np.abs(ours - theirs).max() <= 2.01 * grey


def test_a_checkpoint_of_cn_clip_with_its_vocabulary(tmp_path: Path) -> None:
    weights = random_weights(SHAPE)
    torch.save({"state_dict": {f"module.{name}": w.half() for name, w in weights.items()}}, tmp_path / "c.pt")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    source = open_source(str(tmp_path / "c.pt"), vocabulary=tmp_path / "vocab.txt")
    assert source.tokenizer["longest_word"] == 200
    assert source.image == {"size": SHAPE.size, "mean": list(MEAN), "std": list(STD), "views": ["squash"]}
    assert len(source.origin["sha256"]) == 64


def test_a_resnet_in_int8_is_calibrated_on_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(random_weights(SHAPES["RN50"]), tmp_path / "rn.pt")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    for seed in range(8):
        (tmp_path / f"{seed}.png").write_bytes(picture(seed))
    options = ["--source", tmp_path / "rn.pt", "--vocabulary", tmp_path / "vocab.txt", "--precision", "int8"]
    options += ["--out", tmp_path / "out"]
    with pytest.raises(SystemExit):
        export(monkeypatch, *options)
    assert "give --calibration FOLDER" in capsys.readouterr().err
    export(monkeypatch, *options, "--calibration", tmp_path)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["image"]["cosine"] >= 0.99
    bundle = open_bundle(tmp_path / "out", kind="encoder")
    assert (bundle.manifest["precision"], bundle.name) == ("int8", "rn")
    vectors = Encoder.open(bundle, threads=1).encode_pictures([picture(1), picture(2)])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_folder_that_transformers_wrote_anew(folder: Path, tmp_path: Path) -> None:
    """Its tokenizer has no vocab.txt, its processor is one file with others."""
    for path in folder.iterdir():
        if path.name not in ("vocab.txt", "preprocessor_config.json"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    BertTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    cropping = {"do_center_crop": True, "size": {"shortest_edge": SHAPE.size}}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": cropping}))
    source = open_source(str(tmp_path))
    assert list(source.vocabulary) == VOCABULARY
    assert source.image["views"] == ["crop"]


@pytest.mark.parametrize(
    "odd", [{"resample": 2}, {"size": {"height": 64, "width": 32}}, {"size": {"shortest_edge": 64}}]
)
def test_pictures_prepared_in_an_unknown_way_are_refused(folder: Path, tmp_path: Path, odd: dict) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    facts = json.loads((folder / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts | odd))
    with pytest.raises(InvalidSource, match="in a way that no bundle describes"):
        open_source(str(tmp_path))


def test_sources_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with pytest.raises(InvalidSource, match="no such file"):
        open_source(str(tmp_path / "missing" / "clip.pt"))
    with pytest.raises(InvalidSource, match="not a Chinese-CLIP"):
        open_source(str(tmp_path))
    torch.save(random_weights(SHAPE), tmp_path / "c.pt")
    (tmp_path / "short.txt").write_text("\n".join(VOCABULARY[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(InvalidSource, match="399 tokens, but the model 400"):
        open_source(str(tmp_path / "c.pt"), vocabulary=tmp_path / "short.txt")


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        export(monkeypatch, "--source", tmp_path / "nowhere.pt", "--out", tmp_path / "out")
    assert stopped.value.code == 2
    assert "nowhere.pt: no such file or folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
