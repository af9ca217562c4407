"""Examples as in serving: prompts, control tokens, keywords, and where they are to be copied from."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
import torch

from models.training.dataset import IGNORED, batches
from models.training.keyword_sampler import KeywordSampler
from models.training.rhymes import rhyme_of
from models.training.subjects import SUBJECTS, subject_of
from models.training.vocabulary import extended, kin, template_for
from training_material import LINES, POEM, WORDS, maker, tokenizer


def texts(arch: str, count: int = 200) -> list[tuple[str, str]]:
    """Source and target of many examples of the poem, as text."""
    rng, sampler = random.Random(0), KeywordSampler(WORDS, 1000)
    examples = (
        maker(arch).example(POEM, sampler.draw(POEM, rng), rng, first=rng.randrange(4) if arch == "t5" else 0)
        for _ in range(count)
    )
    decode = tokenizer(arch).decode
    return [(decode(e.source), decode(e.target)) for e in examples]


def test_gpt2_reads_the_prompt_and_writes_the_poem():
    for source, target in texts("gpt2"):
        assert re.fullmatch(r"\[CLS\](\[\w+\])*关键词：[^\[]+\[EOS\]", source)
        assert target == "[EOS]".join(LINES) + "[SEP]"


def test_t5_reads_the_first_lines_and_writes_the_next():
    places = set()
    for source, target in texts("t5"):
        head, *lines = source.removesuffix("[EOS][SEP]").split("[EOS]")
        assert re.fullmatch(r"\[CLS\](\[\w+\])*关键词：[^\[]*", head)
        assert tuple(lines) + tuple(target.removesuffix("[EOS]").split("[EOS]")) == LINES
        places.add(len(lines))
    assert places == {0, 1, 2, 3}


def test_t5_reads_only_the_keywords_that_are_still_to_be_used():
    for source, _ in texts("t5"):
        head, *lines = source.removesuffix("[EOS][SEP]").split("[EOS]")
        keywords = head.partition("：")[2].split()
        assert not any(keyword in line for keyword in keywords for line in lines)


def test_control_tokens_are_left_out_at_random_and_never_wrong():
    template = template_for("gpt2")
    own = (template.forms["wujue"], template.rhymes["十一尤"], template.subjects["登览"])
    heads = [source.partition("关")[0].removeprefix("[CLS]") for source, _ in texts("gpt2", 600)]
    found = Counter(token for head in heads for token in re.findall(r"\[\w+\]", head))
    assert set(found) == set(own)
    for token, share in zip(own, (0.9, 0.7, 0.6), strict=True):
        assert found[token] / len(heads) == pytest.approx(share, abs=0.06)
    assert all(head == "".join(token for token in own if token in head) for head in heads)


def test_keywords_are_the_poems_own_mostly_in_order_at_most_one_a_line():
    rng, sampler = random.Random(0), KeywordSampler(WORDS, 1000)
    drawn = [sampler.draw(POEM, rng) for _ in range(400)]
    assert {len(keywords) for keywords in drawn} == {1, 2, 3, 4}
    assert sum(len(keywords) == 4 for keywords in drawn) > 200
    text = "".join(LINES)
    assert all(word in text for keywords in drawn for word in keywords)
    listed = {row.word for row in WORDS}
    assert 0.8 < sum(word in listed for keywords in drawn for word in keywords) / sum(map(len, drawn)) < 1
    four = [[text.index(word) for word in keywords] for keywords in drawn if len(keywords) == 4]
    assert 0.7 < sum(places == sorted(places) for places in four) / len(four) < 0.95


def test_a_transplanted_poem_holds_a_foreign_word_in_every_line():
    rng, sampler = random.Random(0), KeywordSampler(WORDS, 1000)
    for _ in range(50):
        poem, words = sampler.transplant(POEM, rng)
        for line, old, word in zip(poem.lines, LINES, words, strict=True):
            assert word in line
            assert len(line) == len(old)
            assert sum(a != b for a, b in zip(line, old, strict=True)) <= 2


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_each_keyword_is_copied_from_its_place_in_the_prompt(arch):
    rng = random.Random(0)
    for _ in range(20):
        batch = maker(arch).batch([POEM] * 4, rng)
        rows, there, here = batch.copies.unbind(dim=1)
        assert len(rows) or arch == "t5"
        assert torch.equal(batch.labels[rows, there], batch.input_ids[rows, here])
        assert batch.copied.sum() == len(rows)


def test_nothing_is_learned_of_prompt_and_padding():
    rng = random.Random(0)
    batch = maker("gpt2").batch([POEM] * 8, rng)
    decode = tokenizer("gpt2").decode
    for row in range(8):
        labels = batch.labels[row]
        assert decode(labels[labels != IGNORED]) == "[EOS]".join(LINES) + "[SEP]"
        places = (labels != IGNORED).nonzero()[:, 0]
        assert torch.equal(batch.input_ids[row, places[1:]], labels[places[:-1]])
        assert batch.mask[row, : places[-1] + 1].all()


def test_batches_hold_one_form_and_half_as_many_long_poems():
    long = replace(POEM, form="wulv", lines=LINES * 2)
    found = batches([POEM] * 9 + [long] * 9, 4, random.Random(0))
    assert sorted((batch[0].form, len(batch)) for batch in found) == sorted(
        [("wujue", 4), ("wujue", 4), ("wujue", 1)] + [("wulv", 2)] * 4 + [("wulv", 1)]
    )
    assert all(len({poem.form for poem in batch}) == 1 for batch in found)


@pytest.mark.parametrize(
    ("endings", "group"),
    [("流楼", "十一尤"), ("东风", "一东"), ("东楼", None), ("月雪", None), ("思时", "四支"), ("冬东", None)],
)
def test_a_poem_is_labelled_with_the_level_group_of_all_its_even_lines(endings, group):
    lines = [f"白日依山{ending}" for pair in endings for ending in ("尽", pair)]
    assert rhyme_of(lines) == group


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("送元二使安西", "送别"),
        ("登鹳雀楼", "登览"),
        ("次韵和人梅花二首  其一", "花木"),
        ("次韵和人二首", "寄赠"),
        ("乌江亭怀古", "怀古"),
        ("题临安邸壁", None),
        ("三月晦日", None),
        ("月", "夜月"),
        ("绝句", None),
    ],
)
def test_a_title_names_its_subject(title, subject):
    assert subject_of(title) == subject
    assert subject is None or subject in SUBJECTS


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_an_extended_vocabulary_keeps_every_id(arch):
    template = template_for(arch)
    old = replace(template, rhymes={}, subjects={}, forms={"qijue": "[QIJUE]"})
    shorter = type(tokenizer(arch))([*tokenizer(arch).vocabulary[:6], *old.control_tokens, *"关键词： 东"])
    longer = extended(shorter, template)
    assert longer.vocabulary[: len(shorter)] == shorter.vocabulary
    assert set(template.control_tokens) <= set(longer.vocabulary)
    assert set(kin(template)) == set(template.control_tokens)
    assert "东" in kin(template)[template.rhymes["一东"]]
