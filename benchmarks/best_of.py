"""One picture, the best of 50 candidates: as the original script does it, and as this house does.

The original, in eager PyTorch, begins anew for each candidate: it encodes the picture, compares it with the
keywords one by one in a Python loop, lets `generate` write line after line, and encodes the poem to rank it.
Here the picture is encoded once, the keywords are one search, and the candidates are rows of one batch. Both
sides have the same weights.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import ROOT, jpeg
from benchmarks.result import Benchmark, Result
from models.bundle import Bundle, open_bundle
from models.clip import Encoder
from models.image import decode_image, to_pixels
from models.poet import Poet
from models.prompt import PromptTemplate, distinct_keywords, select_keywords
from models.prosody import FORMS, rhyme_book
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer
from server.ranking import Draft, rank

CANDIDATES = 50
_KEYWORDS = 6_808
_FORM = FORMS["qijue"]
_SAMPLING = Sampling(temperature=0.7, top_p=0.9)
_BUNDLES = ROOT / "models" / "bundles"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The same models on both sides.

    Attributes:
        sides: one encoder and one T5, opened, by precision.
        poet: the T5's bundle.
        look: pixels, float32 (1, 3, H, W), through the same image tower in eager PyTorch.
        read: a poem through the same text tower in eager PyTorch, where that is one.
        model: the same T5 in PyTorch.
    """

    sides: dict[str, tuple[Encoder, Poet]]
    poet: Bundle
    look: Callable[[np.ndarray], object]
    read: Callable[[str], object] | None
    model: Any


class Ours:
    """Encoder, index and poet, opened."""

    def __init__(self, encoder: Encoder, poet: Poet, words: Sequence[str], vectors: np.ndarray) -> None:
        import faiss

        self._encoder = encoder
        self._poet = poet
        self._words = words
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def __call__(self, picture: bytes) -> int:
        """The place of the best candidate."""
        query = self._encoder.encode_pictures([picture])[0]
        found = self._index.search(query[None], 8)[1][0]
        drafts = [Draft(_FORM, rhyme_book("pingshui")) for _ in range(CANDIDATES)]
        for token in self._poet.compose(
            distinct_keywords([self._words[place] for place in found]),
            form=_FORM,
            sampling=_SAMPLING,
            seed=1,
            candidates=CANDIDATES,
        ):
            drafts[token.candidate].add(token.line, token.text, token.log_probability)
        return rank(drafts, query, self._encoder)[1]


class Original:
    """One candidate after another."""

    def __init__(self, weights: Weights) -> None:
        encoder, _ = weights.sides["fp32"]
        poet = weights.poet
        self._spec = encoder._spec
        self._look = weights.look
        self._read = weights.read
        self._model = weights.model.eval()
        self._tokenizer = CharacterTokenizer.read(poet.file(poet.manifest["tokenizer"]["vocabulary"]))
        self._template = PromptTemplate.from_manifest(poet.manifest)

    def candidate(self, picture: bytes, words: Sequence[str], vectors: np.ndarray) -> list[str]:
        """The lines of one candidate."""
        import torch

        pixels = to_pixels(decode_image(picture, draft=self._spec.size), self._spec)[None]
        self._look(pixels)
        # The vector itself does not matter for the time.
        query, table = torch.from_numpy(vectors[:1]), torch.from_numpy(vectors)
        similarities = [
            (float(torch.nn.functional.cosine_similarity(query, row[None])), word)
            for row, word in zip(table, words, strict=True)
        ]
        best = [word for _, word in sorted(similarities, reverse=True)[:8]]
        lines = self._poem(select_keywords(best, _FORM))
        if self._read is not None:
            self._read("，".join(lines))
        return lines

    def _poem(self, keywords: Sequence[str]) -> list[str]:
        import torch

        lines: list[str] = []
        for _ in range(_FORM.lines):
            prompt = self._tokenizer.encode(self._template.render(keywords, form=_FORM, lines=lines))
            written = self._model.generate(
                input_ids=torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
                do_sample=True,
                temperature=_SAMPLING.temperature,
                top_p=_SAMPLING.top_p,
                top_k=0,
                min_new_tokens=_FORM.characters,
                max_new_tokens=_FORM.characters,
            )
            lines.append(self._tokenizer.decode(written[0, 1:].tolist())[: _FORM.characters])
        return lines


def _best_of(make: Callable[[Path], Weights], timed: int) -> Result:
    import torch

    picture = jpeg(1280, 800)
    with tempfile.TemporaryDirectory() as folder:
        weights = make(Path(folder))
        words, vectors = _keywords(weights.sides["fp32"][0].dimension)
        theirs = Original(weights)
        with torch.inference_mode():
            theirs.candidate(picture, words, vectors)
            slow = (
                CANDIDATES
                / timed
                * _seconds(lambda: [theirs.candidate(picture, words, vectors) for _ in range(timed)])
            )
        print(f"  original script: {slow:.1f} s for {CANDIDATES} candidates", flush=True)
        best = np.inf
        for precision, (encoder, poet) in weights.sides.items():
            ours = Ours(encoder, poet, words, vectors)
            ours(picture)
            fast = float(np.median([_seconds(partial(ours, picture)) for _ in range(3)]))
            print(f"  here, {precision}: {fast:.2f} s, {slow / fast:.0f} times", flush=True)
            best = min(best, fast)
    return Result(value=best, unit="s", ratio=slow / best, against="the original script, same weights")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _keywords(dimension: int) -> tuple[list[str], np.ndarray]:
    """As many as the original has, with vectors of no meaning: unit rows, float32."""
    lines = (ROOT / "index_builder" / "data" / "keywords.tsv").read_text(encoding="utf-8").splitlines()
    words = [line.split("\\t")[0] for line in lines[:_KEYWORDS]]
    vectors = np.random.default_rng(0).standard_normal((len(words), dimension)).astype(np.float32)
    return words, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _shipped(folder: Path) -> Weights:
    """The bundles of this repository.

    Of the encoder the trunk alone runs in PyTorch: nearly all its work, for texts are looked up in a table.
    """
    import torch
    from transformers import T5ForConditionalGeneration

    from models.training.lite.export import load_classifier, look

    classifier = load_classifier()
    t5 = open_bundle(_BUNDLES / "t5", kind="poet")
    lite = open_bundle(_BUNDLES / "lite", kind="encoder")
    return Weights(
        sides={
            name: (Encoder.open(lite, int8=int8), Poet.open(t5, int8=int8))
            for name, int8 in (("fp32", False), ("int8", True))
        },
        poet=t5,
        look=lambda pixels: look(classifier, torch.from_numpy(pixels)),
        read=None,
        model=T5ForConditionalGeneration.from_pretrained(t5.path, dtype=torch.float32),
    )


def _full_size(folder: Path) -> Weights:
    """ViT-B/16 and a T5 of 12 layers, d 768, with random weights."""
    import torch

    from benchmarks import clip
    from models.training.chinese_clip.model import image_features, text_features
    from models.training.import_check import full_size
    from models.training.poet_bundle import write_int8, write_poet

    shipped = open_bundle(_BUNDLES / "t5", kind="poet")
    tokenizer = CharacterTokenizer.read(shipped.file("vocab.txt"))
    model = full_size("t5", vocabulary=len(tokenizer))
    exact = write_poet(
        model,
        tokenizer,
        folder / "t5",
        name="full-size",
        template=PromptTemplate.from_manifest(shipped.manifest),
        facts={"licence": "random weights"},
        precision="fp32",
    )
    tower = clip.source().model
    encoders = {name: open_bundle(clip.bundle(name), kind="encoder") for name in ("fp32", "int8")}
    poets = {"fp32": exact, "int8": write_int8(exact, folder / "t5-int8")}

    def read(poem: str) -> object:
        # The ids do not matter for the time. cn_clip pads every text to so many.
        ids, mask = torch.zeros((2, 1, clip.PADDED), dtype=torch.int64)
        mask[:, : len(poem) + 2] = 1
        return text_features(tower, ids, mask)

    return Weights(
        sides={name: (Encoder.open(encoders[name]), Poet.open(poets[name])) for name in poets},
        poet=exact,
        look=lambda pixels: image_features(tower, torch.from_numpy(pixels)),
        read=read,
        model=model,
    )


BENCHMARKS: dict[str, Benchmark] = {
    "best-of-50": partial(_best_of, _shipped, 4),
    "best-of-50-full-size": partial(_best_of, _full_size, 2),
}
