"""What prompt ensembling and the correction by mean similarity do: `python -m benchmarks.index_options`.

    python -m benchmarks.index_options --pictures FOLDER [--encoder BUNDLE]

FOLDER holds the labelled pictures of `models/training/lite/devset.tsv`. Each row is a version, built with
those options and asked as the server asks; the reference pictures are those of the part `train`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.process import ROOT
from index_builder import artifact
from index_builder.build import EmbeddingOptions, build_version
from index_builder.embedding import ENSEMBLE, PLAIN
from index_builder.faiss_index import FaissIndex
from index_builder.keywords import read_keywords
from models.bundle import open_bundle
from models.clip import Encoder
from models.training.lite.evaluate import TOP, Answer, Photograph, is_right, read_devset, summary

_CORRECTIONS = (0.25, 0.5, 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_options", description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "bundles" / "lite")
    options = parser.parse_args()
    encoder = Encoder.open(open_bundle(options.encoder, kind="encoder"))
    shown = {
        part: [(photo, _vector(encoder, options.pictures, photo)) for photo in _there(options.pictures, part)]
        for part in ("develop", "final", "train")
    }
    mean = np.mean([vector for _, vector in shown["train"]], axis=0)
    cases = [("as it is", EmbeddingOptions()), ("ensemble", EmbeddingOptions(templates=ENSEMBLE))]
    cases += [(f"template {template}", EmbeddingOptions(templates=(template,))) for template in ENSEMBLE[1:]]
    for share in _CORRECTIONS:
        cases.append((f"correction {share}, keywords", EmbeddingOptions(correction=share)))
        cases.append((f"correction {share}, pictures", EmbeddingOptions(correction=share, reference=mean)))
    assert PLAIN in ENSEMBLE
    words = read_keywords(ROOT / "index_builder" / "data" / "keywords.tsv")
    with tempfile.TemporaryDirectory(prefix="image2poem-options-") as folder:
        for name, embedding in cases:
            version = build_version(words, encoder, root=Path(folder), embedding=embedding)
            index = artifact.open_version(Path(folder), version)
            rows = [_described(_answers(index, shown[part])) for part in ("develop", "final")]
            print(f"{name:28} develop {rows[0]}   final {rows[1]}", flush=True)
    return 0


def _there(folder: Path, part: str) -> list[Photograph]:
    return [photo for photo in read_devset(parts=(part,)) if (folder / photo.name).exists()]


def _vector(encoder: Encoder, folder: Path, photo: Photograph) -> np.ndarray:
    return encoder.encode_pictures([(folder / photo.name).read_bytes()])[0]


def _answers(index: FaissIndex, shown: Sequence[tuple[Photograph, np.ndarray]]) -> list[Answer]:
    answers = []
    for photo, vector in shown:
        words = tuple(keyword.text for keyword in index.diverse(vector, TOP))
        right = tuple(is_right(word, photo.labels) for word in words)
        answers.append(Answer(photograph=photo, keywords=words, right=right))
    return answers


def _described(answers: Sequence[Answer]) -> str:
    figures = summary(answers)
    return f"{figures[f'precision_at_{TOP}']:.3f} {figures['any_right']:.3f} ({figures['pictures']})"


if __name__ == "__main__":
    raise SystemExit(main())
