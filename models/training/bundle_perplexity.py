"""How well a bundle predicts held-out poems, measured through ONNX Runtime: what is served, as it is served.

    python -m models.training.bundle_perplexity --bundle models/bundles/t5 --corpus runs/corpus

Nats per character, in all and by form. The poet is given the true poem character by character, and before it
what a server gives: form, rhyme group and keywords, and to a T5 the lines so far. Characters alone count; the
ends of lines, which a server writes itself, do not.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle import Bundle, open_bundle
from models.engine import Decoding, open_engine
from models.fusion import Fusion
from models.prompt import PromptTemplate, select_keywords
from models.prosody import FORMS, Form
from models.sampling import log_softmax
from models.tokenizer import CharacterTokenizer
from models.training.corpus import SPLITS, Poem, load
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import read_keywords
from models.training.rhymes import rhyme_of

# Enough rows to keep a core busy; more only need more memory.
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Verse:
    """What is scored: `lines` of a form's number and length, and the keywords that the poet is given."""

    form: Form
    lines: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    rhyme: str | None = None
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Of a verse of L lines of C characters, each with the true characters before it.

    Attributes:
        nats: float32 (L, C), the negative log likelihood, by natural logarithm; of a character outside the
            vocabulary, that of `[UNK]`.
        first: int64 (L, C), the likeliest token's id.
    """

    nats: np.ndarray
    first: np.ndarray


@dataclass(frozen=True, kw_only=True)
class BundleNats:
    """Means over all characters of all poems.

    Attributes:
        nats: nats per character.
        by_form: of each form's poems alone.
        poems, characters: how many were measured.
        unknown: how many characters are outside the vocabulary, and count as `[UNK]`.
    """

    nats: float
    by_form: dict[str, float]
    poems: int
    characters: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """The number of equally likely characters that are as hard to guess among."""
        return math.exp(self.nats)


class Scorer:
    """A poet bundle that scores verse in place of writing it."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        provider: str = "cpu",
        threads: int = 0,
        fused: bool = True,
        int8: bool = True,
    ) -> None:
        """Without `fused` the model counts alone; `int8` is as in `Poet.open`.

        Raises CorruptArtifact, ProviderUnavailable.
        """
        self.tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
        self._fusion = Fusion.of(bundle, line_start=self.tokenizer.eos_id) if fused else None
        self._template = PromptTemplate.from_manifest(bundle.manifest)
        self._by_line = bundle.manifest["architecture"] == "t5"
        self._engine = open_engine(bundle, provider=provider, threads=threads, int8=int8)

    def score(self, verses: Sequence[Verse], *, batch: int = _BATCH) -> list[Scored]:
        """The verses' scores, in their order; `batch` of one form and one length of prompt together."""
        found: dict[int, Scored] = {}
        for places in self.groups(verses, batch):
            scored = self._score([verses[place] for place in places])
            found |= dict(zip(places, scored, strict=True))
        return [found[place] for place in range(len(verses))]

    def groups(self, verses: Sequence[Verse], batch: int = _BATCH) -> Iterator[list[int]]:
        """Places of verses that can be read together; only a T5 reads prompts of several lengths at once."""
        alike: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, verse in enumerate(verses):
            length = 0 if self._by_line else len(self._prompt(verse, 0))
            alike[verse.form.name, length].append(place)
        for places in alike.values():
            yield from (places[start : start + batch] for start in range(0, len(places), batch))

    def _score(self, verses: Sequence[Verse]) -> list[Scored]:
        form = verses[0].form
        nats = np.empty((len(verses), form.lines, form.characters), dtype=np.float32)
        first = np.empty(nats.shape, dtype=np.int64)
        for line, position, logits, ids in self.predictions(verses):
            if self._fusion is not None:
                self._fusion.fuse(logits, ids[:, :position].tolist())
            nats[:, line, position] = -log_softmax(logits)[np.arange(len(ids)), ids[:, position]]
            first[:, line, position] = logits.argmax(axis=-1)
        return [Scored(nats=nats[row], first=first[row]) for row in range(len(verses))]

    def predictions(self, verses: Sequence[Verse]) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """The model's own predictions of every character, the true ones before it given.

        Verses are of one form; for a GPT2 their prompts are of one length. Yields line, position, logits,
        float32 (N, V), and the ids of that whole line, int64 (N, C).
        """
        form = verses[0].form
        ids = np.array([[self.tokenizer.encode(line) for line in verse.lines] for verse in verses])
        decoding: Decoding | None = None
        for line in range(form.lines):
            if decoding is None or self._by_line:
                decoding = self._engine.begin([self._prompt(verse, line) for verse in verses])
            for position in range(form.characters):
                if position:
                    decoding.step(ids[:, line, position - 1 : position])
                yield line, position, decoding.logits, ids[:, line]
            if not self._by_line and line + 1 < form.lines:
                ends = np.full(len(verses), self.tokenizer.eos_id)
                decoding.step(np.stack([ids[:, line, -1], ends], axis=1))

    def _prompt(self, verse: Verse, line: int) -> list[int]:
        """What the poet reads before this line, as `Poet` renders it."""
        text = self._template.render(
            select_keywords(verse.keywords, verse.form),
            form=verse.form,
            rhyme=verse.rhyme,
            subject=verse.subject,
            lines=verse.lines[:line] if self._by_line else (),
        )
        return self.tokenizer.encode(text)


def bundle_nats(
    bundle: Bundle,
    poems: Sequence[Poem],
    keywords: KeywordSampler,
    *,
    seed: int = 0,
    batch: int = _BATCH,
    provider: str = "cpu",
    threads: int = 0,
) -> BundleNats:
    """Score poems of forms that the poet writes, and average.

    A poem's keywords depend on the seed and the poem alone: bundles are compared on the same ones. Raises
    CorruptArtifact, ProviderUnavailable; ValueError where there is no poem.
    """
    if not poems:
        raise ValueError("no poems to measure a bundle by")
    scorer = Scorer(bundle, provider=provider, threads=threads)
    scored = scorer.score([verse_of(poem, keywords, seed=seed) for poem in poems], batch=batch)
    by_form: dict[str, list[np.ndarray]] = defaultdict(list)
    for poem, score in zip(poems, scored, strict=True):
        by_form[poem.form].append(score.nats)
    every = np.concatenate([score.nats.ravel() for score in scored]).astype(np.float64)
    return BundleNats(
        nats=float(every.mean()),
        by_form={form: float(np.mean(by_form[form])) for form in FORMS if form in by_form},
        poems=len(poems),
        characters=len(every),
        unknown=sum(scorer.tokenizer.encode(poem.text).count(scorer.tokenizer.unk_id) for poem in poems),
    )


def verse_of(poem: Poem, keywords: KeywordSampler, *, seed: int = 0) -> Verse:
    """A poem with keywords drawn for it and its rhyme group; no subject, as callers mostly name none."""
    drawn = keywords.draw(poem, random.Random(f"{seed}/{poem.text}"))
    return Verse(form=FORMS[poem.form], lines=poem.lines, keywords=tuple(drawn), rhyme=rhyme_of(poem.lines))


def held_out(poems: Sequence[Poem], *, per_form: int, seed: int = 0) -> list[Poem]:
    """So many poems of each form, or all where there are fewer; the same ones each time."""
    chosen = []
    for form in FORMS:
        own = [poem for poem in poems if poem.form == form]
        chosen += random.Random(f"{seed}/{form}").sample(own, min(per_form, len(own)))
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.bundle_perplexity", description=__doc__)
    add = parser.add_argument
    add("--bundle", type=Path, required=True, nargs="+", action="extend")
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--split", choices=SPLITS, default="validation")
    add("--per-form", type=int, default=100, help="poems of each form")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    add("--threads", type=int, default=0)
    options = parser.parse_args()
    poems = held_out(load(options.corpus, options.split), per_form=options.per_form)
    sampler = KeywordSampler(read_keywords(options.keywords), 200_000)
    for path in options.bundle:
        bundle = open_bundle(path, kind="poet")
        known = [poem for poem in poems if poem.form in bundle.manifest["prompt"]["forms"]]
        found = bundle_nats(bundle, known, sampler, threads=options.threads)
        print(json.dumps({"bundle": str(path), "perplexity": found.perplexity, **vars(found)}))


if __name__ == "__main__":
    main()
