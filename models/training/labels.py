"""What can be told of a corpus's poems: subject, rhyme group, tonal pattern, regularity, keywords.

    python -m models.training.labels --corpus runs/corpus

writes `SPLIT.labels.jsonl` beside each split, a row for each poem in the split's order, and prints how many
poems have which label, by form and dynasty. Training draws the same labels anew at each visit, keywords at
random; the files are for people who want to sort, filter or study the corpus.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from models.prosody import FORMS
from models.prosody.checker import check
from models.training.corpus import SPLITS, Poem, load
from models.training.keyword_extraction import Extractor
from models.training.keywords import read_keywords
from models.training.rhymes import rhyme_of
from models.training.subjects import subject_of

# As many keywords as most pictures give, and as a 绝句 has lines.
_MOST_KEYWORDS = 4


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What can be told of one poem.

    Attributes:
        subject: read from the title; None where it names none.
        rhyme_group: the level group of 平水韵 that the ends of all even lines share, or None.
        pattern: the tonal pattern that it comes closest to.
        regular: it conforms to the rules of its form, by 平水韵 (see docs/checker.md).
        keywords: one to four, in the order of their lines, at most one a line, by TF-IDF.
    """

    subject: str | None
    rhyme_group: str | None
    pattern: str | None
    regular: bool
    keywords: tuple[str, ...]


def labels_of(poem: Poem, extractor: Extractor) -> Labels:
    """The labels of one poem; keywords that came with it go before extracted ones."""
    report = check("\n".join(poem.lines), form=FORMS[poem.form])
    return Labels(
        subject=subject_of(poem.title),
        rhyme_group=rhyme_of(poem.lines),
        pattern=report.pattern.name if report.pattern else None,
        regular=report.conforms,
        keywords=poem.keywords or extractor.keywords_of(poem)[:_MOST_KEYWORDS],
    )


def write(labels: Iterable[Labels], path: Path) -> None:
    """One JSON object a line."""
    rows = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in labels)
    path.write_text("".join(rows), encoding="utf-8")


def summary(poems: Sequence[Poem], labels: Sequence[Labels]) -> dict[str, dict[str, float | int]]:
    """Poems, and the shares that have a label, by `form/dynasty`; and how many poems each subject has."""
    table: dict[str, dict[str, float | int]] = {}
    groups = sorted({(poem.form, poem.dynasty) for poem in poems})
    for form, dynasty in groups:
        pairs = zip(poems, labels, strict=True)
        own = [each for poem, each in pairs if (poem.form, poem.dynasty) == (form, dynasty)]
        table[f"{form}/{dynasty}"] = {
            "poems": len(own),
            "regular": round(sum(each.regular for each in own) / len(own), 4),
            "rhyme_group": round(sum(each.rhyme_group is not None for each in own) / len(own), 4),
            "subject": round(sum(each.subject is not None for each in own) / len(own), 4),
            "keywords": round(sum(len(each.keywords) for each in own) / len(own), 2),
        }
    subjects = Counter(each.subject or "none" for each in labels)
    return {**table, "subjects": dict(subjects.most_common())}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.training.labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder written by models.training.corpus")
    parser.add_argument("--keywords", type=Path, default=Path("index_builder/data/keywords.tsv"))
    options = parser.parse_args()
    extractor = Extractor(read_keywords(options.keywords))
    for split in SPLITS:
        poems = load(options.corpus, split)
        labels = [labels_of(poem, extractor) for poem in tqdm(poems, desc=split, mininterval=5)]
        write(labels, options.corpus / f"{split}.labels.jsonl")
        print(split, json.dumps(summary(poems, labels), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
