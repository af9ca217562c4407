"""All measures of one bundle and its verse, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from models.bundle import Bundle
from models.clip import Encoder
from models.prosody import FORMS
from models.training.bundle_perplexity import bundle_nats
from models.training.corpus import Poem
from models.training.keyword_sampler import KeywordSampler
from models.training.quality import keyword_use, ranking, variety
from models.training.quality.conformity import conformity
from models.training.quality.format_accuracy import format_accuracy
from models.training.quality.ngrams import NgramModel
from models.training.quality.originality import Originality, Span
from models.training.quality.prompts import Prompt, prompts
from models.training.quality.table import (
    AS_PREDICTABLE,
    AT_LEAST_PEOPLE,
    AT_MOST_PEOPLE,
    NONE_AT_ALL,
    WITHIN_5_PERCENT,
    Row,
    Target,
    at_least,
)
from models.training.quality.writing import WrittenPoem

# How many poems of each form the poet itself is asked about: a thousand in all.
_ASKED = 250
_THRESHOLD_POEMS = 600
_KNOWN = at_least(0.85, "≥ 85 %")

Lines = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Verse:
    """The poems of one form: ours, and the people's that their keywords were taken from."""

    prompts: Sequence[Prompt]
    ours: Sequence[Lines]

    @property
    def people(self) -> list[Lines]:
        return [prompt.person.lines for prompt in self.prompts]

    @property
    def keywords(self) -> list[tuple[str, ...]]:
        return [prompt.keywords for prompt in self.prompts]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What verse is held against.

    Attributes:
        training: the poems that the poet learned from.
        validation: other held-out poems, for thresholds.
        sampler: draws keywords.
        encoder: tells meanings; None leaves them out.
    """

    training: Sequence[Poem]
    validation: Sequence[Poem]
    sampler: KeywordSampler
    encoder: Encoder | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The table, and by form the longest span that one of our poems shares with a training poem."""

    rows: list[Row]
    spans: dict[str, Span]


def verse_by_form(asked: Sequence[Prompt], poems: Sequence[WrittenPoem]) -> dict[str, Verse]:
    """Prompts and the poems written from them, both in the same order, by form."""
    found = {}
    for form in FORMS:
        own = [(prompt, poem.lines) for prompt, poem in zip(asked, poems, strict=True) if poem.form == form]
        if own:
            found[form] = Verse(prompts=[prompt for prompt, _ in own], ours=[lines for _, lines in own])
    return found


def measure(bundle: Bundle, verse: Mapping[str, Verse], material: Material, *, threads: int = 0) -> Report:
    """Measure the poet and its verse; without verse there is nothing to say."""
    if not verse:
        return Report(rows=[], spans={})
    originality = Originality(material.training)
    rows = [
        *_of_poet(bundle, verse, material.sampler, threads),
        *_predictability(verse, material.training),
        *_variety(verse),
        *_keyword_use(verse, material),
        *_originality(verse, originality),
        *_conformity(verse),
    ]
    spans = {form: _longest(originality.longest_spans(own.ours)) for form, own in verse.items()}
    return Report(rows=[row for row in rows if row.ours], spans=spans)


def _of_poet(
    bundle: Bundle, verse: Mapping[str, Verse], sampler: KeywordSampler, threads: int
) -> Iterator[Row]:
    people = [prompt.person for own in verse.values() for prompt in own.prompts[:_ASKED]]
    nats = bundle_nats(bundle, people, sampler, threads=threads).by_form
    yield Row(
        name="perplexity",
        label="the poet's perplexity a character, on people's poems",
        ours={form: exp(value) for form, value in nats.items()},
    )

    def keeps_form(own: Verse) -> float:
        return _mean(format_accuracy(bundle, own.prompts[:_ASKED], threads=threads))

    yield Row(
        name="format_accuracy_unconstrained",
        label="right lengths without constraint",
        ours={form: keeps_form(own) for form, own in verse.items()},
        target=at_least(0.99, "≥ 99 %"),
        percent=True,
    )

    rankings = {
        form: ranking.ranking(bundle, asked, threads=threads)
        for form, own in verse.items()
        if (asked := ranking.questions(own.prompts[:_ASKED]))
    }
    measures = (
        ("next_line_shuffled", "true next line above three shuffled ones", "shuffled", _KNOWN),
        ("next_line_others", "true next line above three of other poems", "others", None),
        ("next_line_gain", "the same, by what context adds", "gain", _KNOWN),
    )
    for name, label, field, target in measures:
        ours = {form: getattr(found, field) for form, found in rankings.items()}
        yield Row(name=name, label=label, ours=ours, target=target, percent=True)


def _predictability(verse: Mapping[str, Verse], training: Sequence[Poem]) -> Iterator[Row]:
    model = NgramModel([line for poem in training for line in poem.lines])

    def perplexity(poems: Sequence[Lines]) -> float:
        return model.perplexity([line for lines in poems for line in lines])

    row = _both(verse, "ngram_perplexity", "perplexity to a 4-gram model", perplexity)
    yield row
    yield Row(
        name="ngram_perplexity_ratio",
        label="the same, ours ÷ people's",
        ours={form: row.ours[form] / row.people[form] for form in row.ours},
        target=AS_PREDICTABLE,
    )


def _variety(verse: Mapping[str, Verse]) -> Iterator[Row]:
    yield _both(verse, "distinct_2", "distinct-2", variety.distinct_2, target=WITHIN_5_PERCENT)
    shares = (
        ("repeated_line", "poems with a line twice", variety.repeated_line, NONE_AT_ALL),
        ("looping_characters", "poems with a character thrice", variety.looping_characters, AT_MOST_PEOPLE),
        ("looping_pairs", "poems with a pair of characters twice", variety.looping_pairs, AT_MOST_PEOPLE),
        ("repeated_characters", "characters that stood before", variety.repeated_characters, None),
    )
    for name, label, function, target in shares:
        yield _both(verse, name, label, function, target=target, percent=True)


def _keyword_use(verse: Mapping[str, Verse], material: Material) -> Iterator[Row]:
    yield Row(
        name="literal_keyword_use",
        label="keywords that appear literally",
        ours={form: keyword_use.literal_use(own.ours, own.keywords) for form, own in verse.items()},
        people={form: keyword_use.literal_use(own.people, own.keywords) for form, own in verse.items()},
        target=at_least(0.6, "≥ 60 %"),
        percent=True,
    )
    if material.encoder is None:
        return
    ours, people = {}, {}
    for form, own in verse.items():
        others = prompts(material.validation, material.sampler, [form], _THRESHOLD_POEMS)
        if len(others) > 1:
            threshold = keyword_use.chance_threshold(material.encoder, others)
            ours[form], people[form] = (
                keyword_use.meaning_use(material.encoder, poems, own.keywords, threshold)
                for poems in (own.ours, own.people)
            )
    label = "keywords whose meaning is present (chance: 5 %)"
    yield Row(name="meaning_keyword_use", label=label, ours=ours, people=people, percent=True)


def _originality(verse: Mapping[str, Verse], originality: Originality) -> Iterator[Row]:
    copied = originality.copied_lines
    yield _both(
        verse, "copied_lines", "lines of the training split", copied, target=AT_MOST_PEOPLE, percent=True
    )
    yield _both(
        verse, "overlap_4", "runs of 4 characters of the training split", originality.overlap, percent=True
    )

    def mean_span(poems: Sequence[Lines]) -> float:
        return _mean([span.characters for span in originality.longest_spans(poems)])

    def longest_span(poems: Sequence[Lines]) -> float:
        return _longest(originality.longest_spans(poems)).characters

    yield _both(verse, "mean_span", "longest shared span of a poem, characters", mean_span)
    yield _both(verse, "longest_span", "longest shared span of all", longest_span)


def _conformity(verse: Mapping[str, Verse]) -> Iterator[Row]:
    ours = {form: conformity(own.ours, FORMS[form]) for form, own in verse.items()}
    people = {form: conformity(own.people, FORMS[form]) for form, own in verse.items()}
    readings = (
        ("conformity", "poems that keep the rules, any reading"),
        ("conformity_resolved", "the same, usual readings alone"),
    )
    for place, (name, label) in enumerate(readings):
        yield Row(
            name=name,
            label=label,
            ours={form: shares[place] for form, shares in ours.items()},
            people={form: shares[place] for form, shares in people.items()},
            target=AT_LEAST_PEOPLE,
            percent=True,
        )


def _both(
    verse: Mapping[str, Verse],
    name: str,
    label: str,
    function: Callable[[Sequence[Lines]], float],
    *,
    target: Target | None = None,
    percent: bool = False,
) -> Row:
    """A measure that goes by the poems alone, of ours and of people's."""
    return Row(
        name=name,
        label=label,
        ours={form: function(own.ours) for form, own in verse.items()},
        people={form: function(own.people) for form, own in verse.items()},
        target=target,
        percent=percent,
    )


def _longest(spans: Sequence[Span]) -> Span:
    return max(spans, key=lambda span: span.characters)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
