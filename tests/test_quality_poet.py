"""What is asked of the poet itself: whether it keeps lengths unforced, and whether it knows the next line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.bundle import open_bundle
from models.sampling import Sampling
from models.tokenizer import CharacterTokenizer
from models.training.corpus import Poem
from models.training.quality import format_accuracy
from models.training.quality.prompts import Prompt
from models.training.quality.ranking import WRONG, questions, ranking
from verse import human_poems

BUNDLES = Path(__file__).resolve().parent.parent / "models" / "bundles"
GREEDY = Sampling(temperature=0.0)


def prompts(form: str) -> list[Prompt]:
    own = [poem for poem in human_poems() if poem.form.name == form]
    return [
        Prompt(
            index=index,
            keywords=tuple(line[:2] for line in poem.lines[:4]),
            person=Poem(form=form, dynasty="tang", author=poem.author, title=poem.title, lines=poem.lines),
        )
        for index, poem in enumerate(own)
    ]


class Recital:
    """An engine that recites a text for each prompt, whatever it reads; for a T5 line after line."""

    def __init__(self, tokenizer: CharacterTokenizer, texts: list[list[str]]) -> None:
        self.tokenizer = tokenizer
        self.texts = [list(lines) for lines in texts]

    def begin(self, read):
        return Recitation([self.tokenizer.encode(lines.pop(0)) for lines in self.texts], len(self.tokenizer))


class Recitation:
    def __init__(self, ids: list[list[int]], size: int) -> None:
        self.ids, self.size, self.place = ids, size, 0
        self.logits = self._logits()

    def _logits(self) -> np.ndarray:
        logits = np.zeros((len(self.ids), self.size), dtype=np.float32)
        for row, ids in enumerate(self.ids):
            logits[row, ids[self.place % len(ids)]] = 50
        return logits

    def step(self, ids: np.ndarray) -> None:
        assert ids.shape == (len(self.ids), 1)
        self.place += 1
        self.logits = self._logits()


LINES = ["白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"]


def verdicts(monkeypatch, arch: str, recited: list[list[str]]) -> list[bool]:
    bundle = open_bundle(BUNDLES / arch)
    tokenizer = CharacterTokenizer.read(bundle.file("vocab.txt"))
    monkeypatch.setattr(format_accuracy, "open_engine", lambda *_, **__: Recital(tokenizer, recited))
    asked = [
        Prompt(index=index, keywords=("白日",), person=prompts("wujue")[0].person)
        for index in range(len(recited))
    ]
    monkeypatch.setattr(format_accuracy, "_SAMPLING", GREEDY)
    return format_accuracy.format_accuracy(bundle, asked)


def test_a_gpt2_ends_its_lines_and_its_poem_itself(monkeypatch):
    whole = "[EOS]".join(LINES) + "[SEP]"
    recited = [
        whole,
        whole.replace("尽", ""),
        whole.replace("尽", "尽尽"),
        whole.replace("尽", "[UNK]"),
        whole.replace("尽", "："),
        "[EOS]".join(LINES[:3]) + "[SEP]",
        "[EOS]".join([*LINES, LINES[0]]) + "[SEP]",
        "[EOS]".join(LINES) + "[EOS]",
    ]
    assert verdicts(monkeypatch, "gpt2", [[text] for text in recited]) == [True] + [False] * 7


def test_a_t5_ends_each_line_itself(monkeypatch):
    whole = [line + "[EOS]" for line in LINES]
    recited = [
        whole,
        [*whole[:3], "更上一楼[EOS]"],
        [*whole[:3], "更上一层层楼[EOS]"],
        ["白日依山[UNK][EOS]", *whole[1:]],
        [*whole[:3], LINES[3] + "楼"],
    ]
    assert verdicts(monkeypatch, "t5", recited) == [True] + [False] * 4


def test_the_shipped_poets_mostly_keep_lengths():
    for arch in ("gpt2", "t5"):
        kept = format_accuracy.format_accuracy(open_bundle(BUNDLES / arch), prompts("wujue"), threads=1)
        assert len(kept) == len(prompts("wujue"))
        assert sum(kept) >= len(kept) - 1


def test_questions_hold_the_answer_its_shuffles_and_lines_of_other_poems():
    asked = prompts("qijue")
    poems = {prompt.person.lines for prompt in asked}
    for prompt, question in zip(asked, questions(asked), strict=True):
        place = len(question.given)
        answer, *wrong = question.lines
        assert 1 <= place < 4
        assert (*question.given, answer) == prompt.person.lines[: place + 1]
        assert all(sorted(line) == sorted(answer) and line != answer for line in wrong[:WRONG])
        others = [[poem for poem in poems if poem[place] == line] for line in wrong[WRONG:]]
        assert len(others) == WRONG
        assert all(found and prompt.person.lines not in found for found in others)


def test_too_few_poems_ask_nothing():
    assert questions(prompts("qijue")[:WRONG]) == []


@pytest.mark.parametrize("arch", ["gpt2", "t5"])
def test_the_shipped_poets_know_order_and_context(arch):
    asked = questions(prompts("qijue"))
    found = ranking(open_bundle(BUNDLES / arch), asked, threads=1)
    # Chance is a quarter; context tells more than the lines' own likelihood.
    assert found.shuffled > 0.8
    assert found.others > 0.4
    assert found.gain >= found.others


def test_an_answer_does_not_depend_on_the_questions_beside_it():
    asked = questions(prompts("wujue"))
    bundle = open_bundle(BUNDLES / "gpt2")
    together = ranking(bundle, asked, threads=1)
    alone = [ranking(bundle, [question], threads=1) for question in asked]
    assert together.others == pytest.approx(np.mean([each.others for each in alone]))
    assert together.gain == pytest.approx(np.mean([each.gain for each in alone]))
