"""How good a poet is: its verse from held-out keywords, beside the people's verse that they were taken from.

    python -m models.training.evaluate --bundle models/bundles/gpt2 --corpus runs/corpus \\
        --processes 2 --poems runs/gpt2-poems.jsonl --out runs/gpt2-quality

prints a table and writes `runs/gpt2-quality.json` and `.md`; docs/quality.md tells what each measure is.
Poems are written once and kept in the file `--poems`. With `--read 20` twenty of them are printed, and
nothing is measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.bundle import Bundle, open_bundle, sha256_of, with_facts
from models.clip import Encoder
from models.prosody import FORMS
from models.sampling import Sampling
from models.training.corpus import SPLITS, load
from models.training.keyword_sampler import KeywordSampler
from models.training.keywords import read_keywords
from models.training.quality.originality import Span
from models.training.quality.prompts import Prompt, prompts
from models.training.quality.report import Material, Report, measure, verse_by_form
from models.training.quality.table import figures, inserted, markdown
from models.training.quality.writing import LINE_CHOICES, WrittenPoem, read_aloud, write_poems

ENCODER = Path(__file__).parents[1] / "bundles" / "lite"


def keyword_sampler(keyword_list: Path) -> KeywordSampler:
    """Draws keywords of held-out poems; weighted as for a corpus of about the training split's size."""
    return KeywordSampler(read_keywords(keyword_list), 200_000)


def evaluate(
    bundle: Bundle, corpus: Path, keyword_list: Path, *, count: int, encoder: Path | None = ENCODER
) -> tuple[dict[str, Any], list[list[str]]]:
    """The means of all forms for a manifest, from `count` poems in all, and these poems, lines by poem.

    Figures are fewer where the corpus is too small to have them.
    """
    sampler = keyword_sampler(keyword_list)
    forms = _forms(bundle)
    asked = prompts(load(corpus, "test"), sampler, forms, max(1, count // len(forms)))
    poems = write_poems(bundle, asked, Sampling(), line_choices=LINE_CHOICES, encoder=encoder)
    material = _material(corpus, sampler, encoder)
    report = measure(bundle, verse_by_form(asked, poems), material)
    facts = {"prompts": len(asked), "split": "test"}
    return {**facts, **figures(report.rows)}, [list(poem.lines) for poem in poems]


def _forms(bundle: Bundle) -> list[str]:
    return [name for name in FORMS if name in bundle.manifest["prompt"]["forms"]]


def _material(corpus: Path, sampler: KeywordSampler, encoder: Path | None) -> Material:
    return Material(
        training=load(corpus, "train"),
        validation=load(corpus, "validation"),
        sampler=sampler,
        encoder=Encoder.open(open_bundle(encoder, kind="encoder"), threads=1) if encoder else None,
    )


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the prompts depend on."""
    return {
        "split": options.split,
        "split_sha256": sha256_of(options.corpus / f"{options.split}.jsonl"),
        "keywords_sha256": sha256_of(options.keywords),
    }


def _written(
    options: argparse.Namespace, bundle: Bundle, sampler: KeywordSampler, sampling: Sampling
) -> tuple[list[Prompt], list[WrittenPoem]]:
    asked = prompts(load(options.corpus, options.split), sampler, _forms(bundle), options.count)
    asked = asked[: options.read or None]
    poems = write_poems(
        bundle,
        asked,
        sampling,
        line_choices=options.line_choices,
        encoder=options.encoder,
        processes=options.processes,
        path=options.poems,
        settings=_settings(options),
    )
    return asked, poems


def _record(bundle: Bundle, options: argparse.Namespace, report: Report) -> dict[str, Any]:
    return {
        "bundle": bundle.name,
        "fingerprint": bundle.fingerprint,
        **_settings(options),
        "poems_per_form": options.count,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "line_choices": options.line_choices,
        "rows": [row.to_json() for row in report.rows],
        "figures": figures(report.rows),
        "longest_spans": {form: _span(span) for form, span in report.spans.items()},
    }


def _span(span: Span) -> dict[str, Any]:
    source = span.source
    return {
        "characters": span.characters,
        "text": span.text,
        "author": source.author if source else "",
        "title": source.title if source else "",
    }


def _page(bundle: Bundle, options: argparse.Namespace, report: Report) -> str:
    """The table as Markdown, with what it was made of."""
    spans = [
        f"- {FORMS[form].chinese}: {span.text} — {span.source.author}《{span.source.title}》"
        for form, span in report.spans.items()
        if span.source
    ]
    head = (
        f"{bundle.name} ({bundle.fingerprint[:12]}), {options.split} split, "
        f"up to {options.count} poems a form, temperature {options.temperature}, top-p {options.top_p}, "
        f"the best of {options.line_choices} lines each."
    )
    shared = ["", "Longest spans shared with a training poem:", "", *spans] if spans else []
    return "\n".join([head, "", markdown(report.rows).rstrip(), *shared, ""])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--bundle", type=Path, required=True)
    add("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    add("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    add(
        "--encoder",
        type=Path,
        default=ENCODER,
        help="bundle with the text encoder, which chooses too",
    )
    add("--split", choices=SPLITS, default="test", help="validation: for choosing settings")
    add("--count", type=int, default=1000, help="poems of each form, at most as many as the split has")
    add("--processes", type=int, default=1, help="that write side by side; threads that measure")
    add("--poems", type=Path, help="file that the poems are kept in, and taken from where it fits")
    add("--out", type=Path, help="write the table to OUT.json and OUT.md")
    add(
        "--into",
        type=Path,
        help="put the table into this document too, between <!-- NAME --> and <!-- /NAME -->",
    )
    add("--record", action="store_true", help="put the figures into the bundle's manifest")
    add("--read", type=int, metavar="N", help="print N poems for reading, measure nothing")
    add("--temperature", type=float, default=Sampling().temperature)
    add("--line-choices", type=int, default=LINE_CHOICES, help="lines that each line is chosen of; 1 is off")
    add("--top-p", type=float, default=Sampling().top_p)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    bundle = open_bundle(options.bundle, kind="poet")
    sampling = Sampling(temperature=options.temperature, top_p=options.top_p)
    sampler = keyword_sampler(options.keywords)
    asked, poems = _written(options, bundle, sampler, sampling)
    if options.read:
        print("\n".join(read_aloud(poems)))
        return
    material = _material(options.corpus, sampler, options.encoder)
    verse = verse_by_form(asked, poems)
    report = measure(bundle, verse, material, threads=options.processes)
    page = _page(bundle, options, report)
    print(page)
    record = _record(bundle, options, report)
    if options.out:
        _save(options, page, record)
    if options.record:
        _put(bundle, record)
    if options.into:
        document = options.into.read_text(encoding="utf-8")
        options.into.write_text(inserted(document, bundle.name, page), encoding="utf-8")


def _put(bundle: Bundle, record: Mapping[str, Any]) -> None:
    """Into its manifest, beside what it says of itself already; the bundle then has another fingerprint."""
    told = ("split", "poems_per_form", "temperature", "top_p", "line_choices")
    found = {**{name: record[name] for name in told}, **record["figures"]}
    earlier = bundle.manifest.get("evaluation", {})
    with_facts(bundle, bundle.path, {"evaluation": {**earlier, **found}})


def _save(options: argparse.Namespace, page: str, record: Mapping[str, Any]) -> None:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    options.out.with_name(options.out.name + ".json").write_text(text, encoding="utf-8")
    options.out.with_name(options.out.name + ".md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
