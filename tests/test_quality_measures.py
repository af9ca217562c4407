"""What the measures of verse say of verse whose worth is known."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from math import log

import numpy as np
import pytest

from models.prosody import FORMS
from models.training.corpus import Poem
from models.training.quality import variety
from models.training.quality.conformity import conformity
from models.training.quality.keyword_use import chance_threshold, literal_use, meaning_use
from models.training.quality.ngrams import NgramModel
from models.training.quality.originality import Originality
from models.training.quality.prompts import Prompt
from verse import human_poems

PEOPLE = list(human_poems())
LINES = [line for poem in PEOPLE for line in poem.lines]
TRAINING = [
    Poem(form=poem.form.name, dynasty="tang", author=poem.author, title=poem.title, lines=poem.lines)
    for poem in PEOPLE
]


def shuffled(lines, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.sample(line, len(line))) for line in lines]


def test_distinct_2_counts_pairs_inside_lines_once():
    assert variety.distinct_2([["明月光", "明月下"]]) == 3 / 4
    assert variety.distinct_2([["明月"], ["明月"]]) == 1 / 2
    assert variety.distinct_2([["明月", "光明"], ["月光"]]) == 1


def test_a_line_that_stands_twice_in_its_poem_is_noticed():
    assert variety.repeated_line([["白日", "青山", "白日"], ["青山", "白日"]]) == 1 / 2


@pytest.mark.parametrize(
    ("lines", "loops"),
    [
        (["月明月色月", "何处是"], True),
        (["月明", "月色", "待月"], True),
        (["月明", "月色", "何处"], False),
        (["萧萧木落", "风萧萧"], False),
        (["萧萧木", "风萧水", "雨萧萧"], True),
    ],
)
def test_a_character_loops_at_its_third_place(lines, loops):
    assert variety.looping_characters([lines]) == loops


def test_a_pair_loops_at_its_second_place_even_in_the_same_line():
    assert variety.looping_pairs([["明月下", "见明月"], ["月明下", "明月"], ["风风风"]]) == 2 / 3


def test_repeated_characters():
    assert variety.repeated_characters([["月明月", "月光"]]) == pytest.approx(2 / 5)


def test_people_loop_seldom_and_a_stuck_poet_always():
    people = [poem.lines for poem in PEOPLE]
    stuck = [["明月照明月"] * 4] * 8
    for measure in (variety.repeated_line, variety.looping_characters, variety.looping_pairs):
        assert measure(people) <= 0.16
        assert measure(stuck) == 1


def test_an_ngram_model_shares_out_one():
    model = NgramModel(LINES)
    everything = sorted({*"".join(LINES), "鑫"})
    for history in ("", "白", "白日", "白日依", "春眠不", "鑫鑫鑫", "不不不"):
        last = [model.log_probabilities([history + character])[-1] for character in everything]
        assert np.exp(last).sum() == pytest.approx(1)


def test_an_ngram_model_agrees_with_the_formula_written_out():
    model, plain = NgramModel(LINES), PlainKneserNey(LINES)
    for line in [*LINES[:20], *shuffled(LINES[:20]), "鑫日依山鑫"]:
        expected = [
            plain.log_probability("|" + line[:place], character) for place, character in enumerate(line)
        ]
        np.testing.assert_allclose(model.log_probabilities([line]), expected, rtol=1e-5)


class PlainKneserNey:
    """Interpolated modified Kneser-Ney over dictionaries, as in models.training.quality.ngrams."""

    def __init__(self, lines, order=4):
        self.order = order
        self.characters = len(set("".join(lines)))
        self.counts = [Counter() for _ in range(order + 1)]
        for line in ("|" + line for line in lines):
            for end in range(1, len(line)):
                for length in range(1, min(order, end + 1) + 1):
                    run = line[end - length + 1 : end + 1]
                    if length == order or run[0] == "|":
                        self.counts[length][run] += 1
        for length in range(order - 1, 0, -1):
            self.counts[length].update(run[1:] for run in self.counts[length + 1])
        self.following = [defaultdict(dict) for _ in range(order + 1)]
        for length in range(1, order + 1):
            for run, count in self.counts[length].items():
                self.following[length][run[:-1]][run[-1]] = count
        self.discounts = [None, *(self.discount(counts) for counts in self.counts[1:])]

    @staticmethod
    def discount(counts):
        n = Counter(counts.values())
        if not (n[1] and n[2] and n[3]):
            return lambda count: 0.5 if count else 0
        y = n[1] / (n[1] + 2 * n[2])
        table = [0, *(max(0, min(k, k - (k + 1) * y * n[k + 1] / n[k])) for k in (1, 2, 3))]
        return lambda count: table[min(count, 3)]

    def probability(self, history, character, length):
        if length == 0:
            return 1 / (self.characters + 1)
        history = history[-(length - 1) :] if length > 1 else ""
        lower = self.probability(history, character, length - 1)
        seen = self.following[length].get(history) if len(history) == length - 1 else None
        if not seen:
            return lower
        own, discount = seen.get(character, 0), self.discounts[length]
        left = sum(map(discount, seen.values()))
        return (own - discount(own) + left * lower) / sum(seen.values())

    def log_probability(self, history, character):
        return log(self.probability(history, character, self.order))


def test_shuffled_verse_is_far_harder_to_predict():
    model = NgramModel(LINES[::2] + LINES[1::2][: len(LINES) // 4])
    assert model.perplexity(shuffled(LINES)) > 5 * model.perplexity(LINES)


def test_no_verse_is_no_model():
    with pytest.raises(ValueError, match="no verse"):
        NgramModel(["", ""])


def test_copied_verse_is_recognised():
    originality = Originality(TRAINING)
    copied = [poem.lines for poem in PEOPLE[:4]]
    assert originality.copied_lines(copied) == 1
    assert originality.overlap(copied) == 1
    for span, poem in zip(originality.longest_spans(copied), TRAINING, strict=False):
        assert (span.characters, span.source) == (len(poem.text), poem)
        assert span.text == "，".join(poem.lines)


def test_new_verse_is_original():
    originality = Originality(TRAINING)
    new = [shuffled(poem.lines) for poem in PEOPLE[:4]]
    assert originality.copied_lines(new) == 0
    assert originality.overlap(new) < 0.1
    assert {span.characters for span in originality.longest_spans([["鑫鑫鑫鑫鑫"] * 4])} == {3}


def test_a_span_over_the_end_of_a_line_is_named_with_its_source():
    # 欲穷千里目，更上一层楼 with one character changed at each end.
    [span] = Originality(TRAINING).longest_spans([["鑫鑫鑫鑫鑫", "鑫穷千里目", "更上一层鑫", "鑫鑫鑫鑫鑫"]])
    assert (span.characters, span.text) == (8, "穷千里目，更上一层")
    assert span.source.title == "登鹳雀楼"


@pytest.mark.parametrize("seed", range(5))
def test_spans_equal_those_found_by_trying_all(seed):
    rng = random.Random(seed)

    def poems(count):
        return [["".join(rng.choices("天地人", k=5)) for _ in range(4)] for _ in range(count)]

    training, ours = poems(3), poems(6)
    texts = ["\n".join(lines) for lines in training]
    found = Originality(
        [Poem(form="wujue", dynasty="", author="", title="", lines=tuple(p)) for p in training]
    )
    for lines, span in zip(ours, found.longest_spans(ours), strict=True):
        text = "\n".join(lines)
        stretches = {text[a:b] for a in range(len(text)) for b in range(a + 1, len(text) + 1)}
        shared = [len(each.replace("\n", "")) for each in stretches if any(each in other for other in texts)]
        assert span.characters == max(shared)


def test_overlap_does_not_reach_over_the_ends_of_lines():
    originality = Originality(TRAINING)
    assert originality.overlap([["里目更上一", "鑫鑫鑫鑫鑫"]]) == 0
    assert originality.overlap([["穷千里目鑫", "鑫鑫鑫鑫鑫"]]) == 1 / 4


def test_literal_use_wants_the_keyword_inside_a_line():
    assert literal_use([["明月光", "地上霜"]], [["明月", "光地", "霜", "故乡"]]) == 1 / 2


class CharacterBag:
    """An encoder for which two texts are as near as the characters that they share."""

    def encode_texts(self, texts):
        vectors = np.zeros((len(texts), 0x10000), dtype=np.float32)
        for row, text in enumerate(texts):
            for character in text:
                vectors[row, ord(character)] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_meaning_is_present_in_peoples_poems_and_not_in_strange_ones():
    prompts = [
        Prompt(index=index, keywords=(poem.lines[0][:2], poem.lines[1][-2:]), person=poem)
        for index, poem in enumerate(TRAINING)
    ]
    poems, keywords = [poem.lines for poem in TRAINING], [prompt.keywords for prompt in prompts]
    threshold = chance_threshold(CharacterBag(), prompts)
    assert meaning_use(CharacterBag(), poems, keywords, threshold) > 0.9
    assert meaning_use(CharacterBag(), [*poems[1:], poems[0]], keywords, threshold) < 0.15


def test_people_keep_the_rules_and_shuffled_verse_breaks_them():
    form = FORMS["qijue"]
    people = [poem.lines for poem in PEOPLE if poem.form is form]
    assert conformity(people, form)[0] == 1
    assert conformity([shuffled(lines) for lines in people], form)[0] < 0.2
