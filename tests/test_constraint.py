"""Decoding under the rules: whatever a poet likes best, what it may write conforms."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.prosody import (
    FORMS,
    PATTERNS,
    RHYME_BOOKS,
    Endings,
    Form,
    ImpossibleRules,
    LengthsOnly,
    Lexicon,
    Regulated,
    Rules,
    Tone,
    fixed_places,
    rhyme_book,
)
from models.prosody.checker import check
from models.prosody.constraint import Constraint
from models.tokenizer import CharacterTokenizer

VOCABULARY = CharacterTokenizer.read(
    Path(__file__).parent.parent / "models" / "bundles" / "gpt2" / "vocab.txt"
).vocabulary
QIJUE, WUJUE, QILV = FORMS["qijue"], FORMS["wujue"], FORMS["qilv"]


@cache
def lexicon(book: str = "pingshui") -> Lexicon:
    return Lexicon(VOCABULARY, rhyme_book(book), Endings(VOCABULARY))


def regulated(form: Form, rules: Rules | None = None) -> Regulated:
    rules = rules or Rules()
    return Regulated(form, rules, lexicon(rules.rhymes.name))


def write(constraint: Constraint, form: Form, seed: int) -> list[str]:
    """A poem by a poet that has no sense at all: likes and dislikes are random, and strong."""
    rng = np.random.default_rng(seed)
    writing = constraint.begin()
    lines = []
    for _ in range(form.lines):
        line = ""
        for _ in range(form.characters):
            weights = writing.weights()
            liked = int(np.argmax(rng.normal(scale=8.0, size=len(VOCABULARY)) + weights))
            assert weights[liked] > -np.inf
            character = writing.forced() or VOCABULARY[liked]
            writing.accept(character)
            line += character
        lines.append(line)
    return lines


@pytest.mark.parametrize("book", RHYME_BOOKS)
@pytest.mark.parametrize("form", FORMS.values(), ids=str)
def test_whatever_the_poet_likes_it_conforms(form, book):
    for seed in range(12):
        lines = write(regulated(form, Rules(book=rhyme_book(book))), form, seed)
        report = check("\n".join(lines), book=rhyme_book(book))
        assert report.conforms_resolved, (lines, report.faults)
        assert report.form is form


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=str)
@pytest.mark.parametrize("form", FORMS.values(), ids=str)
def test_a_pattern_that_is_asked_for_is_kept(form, pattern):
    for seed in range(6):
        report = check("\n".join(write(regulated(form, Rules(pattern=pattern)), form, seed)))
        assert report.pattern is pattern
        assert report.conforms_resolved


def test_an_open_pattern_takes_every_turn():
    poems = [check("\n".join(write(regulated(QIJUE), QIJUE, seed))) for seed in range(60)]
    assert {poem.pattern.name for poem in poems if poem.pattern} == set(PATTERNS)
    assert len({poem.rhyme_group for poem in poems}) > 5


@pytest.mark.parametrize("group", rhyme_book("pingshui").level_groups)
def test_every_rhyme_that_has_words_can_be_asked_for(group):
    rules = Rules(rhyme_group=group)
    if lexicon().words[group] < 5:
        with pytest.raises(ImpossibleRules, match=f"rhymes in {group}"):
            regulated(QILV, rules)
        return
    constraint = regulated(QILV, rules)
    report = check("\n".join(write(constraint, QILV, seed=1)))
    assert report.rhyme_group == group
    assert report.conforms_resolved


def test_no_rhyme_word_comes_twice():
    narrow = [group for group in rhyme_book("pingshui").level_groups if group in ("五微", "十二文", "十三覃")]
    for group in narrow:
        for seed in range(10):
            lines = write(regulated(QILV, Rules(rhyme_group=group)), QILV, seed)
            rhymes = [line[-1] for line in lines[1::2]]
            assert len(set(rhymes)) == len(rhymes)


def test_an_acrostic_stands_at_the_lines_heads():
    rules = Rules(fixed=fixed_places(QIJUE, acrostic="春夏秋冬"))
    for seed in range(10):
        lines = write(regulated(QIJUE, rules), QIJUE, seed)
        assert "".join(line[0] for line in lines) == "春夏秋冬"
        assert check("\n".join(lines)).conforms


def test_random_fixed_characters_are_kept_or_refused():
    rng = random.Random(3)
    characters = [token for token in VOCABULARY[100:2000] if len(token) == 1]
    kept = 0
    for seed in range(150):
        form = rng.choice(list(FORMS.values()))
        texts = [
            (rng.randrange(form.lines), rng.randrange(form.characters), rng.choice(characters))
            for _ in range(rng.randint(1, 5))
        ]
        try:
            constraint = regulated(form, Rules(fixed=fixed_places(form, texts=texts)))
        except ImpossibleRules:
            continue
        lines = write(constraint, form, seed)
        assert all(lines[line][position] == text for line, position, text in texts)
        assert check("\n".join(lines)).conforms, (lines, texts)
        kept += 1
    assert kept > 50


def test_a_fixed_first_line_settles_pattern_and_rhyme():
    rules = Rules(fixed=fixed_places(WUJUE, texts=[(0, 0, "白日依山尽"), (1, 4, "流")]))
    lines = write(regulated(WUJUE, rules), WUJUE, seed=2)
    report = check("\n".join(lines))
    assert lines[0] == "白日依山尽"
    assert lines[1][-1] == "流"
    assert report.pattern is PATTERNS["a_unrhymed"]
    assert report.rhyme_group == "十一尤"


@pytest.mark.parametrize(
    ("form", "options", "texts", "acrostic", "reason"),
    [
        (WUJUE, {"pattern": PATTERNS["b_rhymed"]}, [], "月", "line 1, place 1 asks for 平, 月 is 仄"),
        (QIJUE, {}, [(0, 0, "山山山山山山山")], "", "no tonal pattern of 七绝"),
        (QIJUE, {}, [(1, 6, "月")], "", "月 cannot rhyme in level tone"),
        (QIJUE, {}, [(1, 6, "流"), (3, 6, "山")], "", "流 and 山 cannot rhyme"),
        (QIJUE, {}, [(1, 6, "流"), (3, 6, "流")], "", "rhyme word twice"),
        (QIJUE, {"rhyme_group": "一东"}, [(1, 6, "流")], "", "流 cannot rhyme in 一东"),
        (QIJUE, {"rhyme_group": "一东", "pattern": PATTERNS["a_rhymed"]}, [(0, 6, "流")], "", "not in 一东"),
        (QIJUE, {}, [(0, 0, "春")], "秋", "both 秋 and 春"),
        (WUJUE, {}, [(0, 3, "春风里")], "", "does not fit in line 1"),
        (WUJUE, {}, [(4, 0, "春")], "", "does not fit in line 5"),
        (WUJUE, {}, [], "春夏秋冬春", "5 characters"),
        (WUJUE, {}, [(0, 0, "a")], "", "Chinese characters"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(form, options, texts, acrostic, reason):
    with pytest.raises(ImpossibleRules, match=reason):
        regulated(form, Rules(fixed=fixed_places(form, acrostic=acrostic, texts=texts), **options))


def test_no_word_is_begun_that_no_rhyme_can_end():
    """After 湖上梦烟水, 有 has few rhymes of 十一尤 behind it, 东 has 流."""
    constraint = regulated(QIJUE, Rules(rhyme_group="十一尤"))
    writing = constraint.begin()
    for character in "一水东西南北流" + "湖山烟雨满":
        writing.accept(character)
    weights = writing.weights()
    of = {token: weights[index] for index, token in enumerate(VOCABULARY)}
    assert of["东"] > -np.inf
    ahead = constraint.closing(rhymed=True, unrhymed=False, group="十一尤", used=frozenset("流"))[1]
    likely = {token: ahead[index] for index, token in enumerate(VOCABULARY)}
    assert likely["扁"] > likely["长"] > likely["有"]


def test_a_copy_goes_its_own_way():
    writing = regulated(WUJUE).begin()
    for character in "白日依山":
        writing.accept(character)
    other = writing.copy()
    writing.accept("尽")
    assert not np.array_equal(writing.weights(), other.weights())
    assert other.copy().weights() is not None


def test_a_vocabulary_without_rhymes_is_no_dead_end():
    few = tuple("春江潮水连海平月共生滟随波千万里")
    small = Lexicon(few, rhyme_book("pingshui"), Endings(few))
    with pytest.raises(ImpossibleRules, match="the poet knows 2 rhymes in any group of 平水韵, 七绝 needs 3"):
        Regulated(QIJUE, Rules(), small)


def test_a_poet_is_told_the_group_once_it_is_settled():
    named = regulated(QIJUE, Rules(rhyme_group="十一尤")).begin()
    assert named.pingshui_group == "十一尤"
    left_open = regulated(WUJUE).begin()
    assert left_open.pingshui_group is None
    for character in "白日依山尽黄河入海流":
        left_open.accept(character)
    assert left_open.pingshui_group == "十一尤"
    other_book = Rules(book=rhyme_book("xinyun"), rhyme_group="五微")
    assert regulated(QIJUE, other_book).begin().pingshui_group is None


def test_characters_count_by_their_likeliest_reading():
    book = rhyme_book("pingshui")
    tones = lexicon().tones
    for index, token in enumerate(VOCABULARY):
        if tones[Tone.LEVEL][index]:
            assert book.tone_of(token) is Tone.LEVEL
            assert lexicon().group[index] >= 0 or len(book.readings(token)) > 1
        elif tones[Tone.OBLIQUE][index]:
            assert book.tone_of(token) is Tone.OBLIQUE
            assert lexicon().group[index] == -1


def test_a_rhyme_that_readers_hear_in_two_ways_is_left_alone():
    where = {token: index for index, token in enumerate(VOCABULARY)}
    assert lexicon().tones[Tone.LEVEL][where["佳"]]
    assert lexicon().group[where["佳"]] == -1
    assert not lexicon().rhymes_in("六麻")[where["佳"]]
    assert lexicon().rhymes_in("六麻")[where["花"]]


def test_lengths_alone():
    fixed = fixed_places(QIJUE, texts=[(2, 3, "山山")])
    constraint = LengthsOnly(QIJUE, VOCABULARY, fixed)
    lines = write(constraint, QIJUE, seed=0)
    assert [len(line) for line in lines] == [7] * 4
    assert lines[2][3:5] == "山山"
    assert constraint.begin().pingshui_group is None
    allowed = [token for token, weight in zip(VOCABULARY, constraint.mask, strict=True) if weight == 0]
    assert "山" in allowed
    assert not {"[EOS]", "：", " "} & set(allowed)
