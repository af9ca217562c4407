"""A poet that chooses among lines: what is written, read and yielded, with an engine of sand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import models.poet
from models.poet import Poet
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.tokenizer import EOS, SPECIAL_TOKENS, CharacterTokenizer
from sand import SandEngine

CHARACTERS = "江潮水连海平月共生滟随波千万里何处无明流宛转绕芳甸照花林皆似霰空中飞不觉汀上白沙看见"
TOKENIZER = CharacterTokenizer([*SPECIAL_TOKENS, "[WUJUE]", "[WULV]", *CHARACTERS, *"关键词：春秋"])
WUJUE = FORMS["wujue"]
BOLD = Sampling(temperature=2.0, top_p=1.0)


class Last:
    """A judge that takes the last line, and remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def choose(self, trials, *, keywords):
        self.shown.append((trials, list(keywords)))
        return [len(poem.lines) - 1 for poem in trials]


@pytest.fixture(params=["t5", "gpt2"])
def poet(request, monkeypatch, tmp_path):
    TOKENIZER.write(tmp_path / "vocab.txt")
    engine = SandEngine(len(TOKENIZER))
    monkeypatch.setattr(models.poet, "open_engine", lambda *_, **__: engine)
    prompt = {"forms": {"wujue": "[WUJUE]", "wulv": "[WULV]"}, "max_tokens": 128}
    manifest = {"architecture": request.param, "tokenizer": {"vocabulary": "vocab.txt"}, "prompt": prompt}
    bundle = SimpleNamespace(
        manifest=manifest, name="sand", fingerprint="0", path=tmp_path, file=lambda name: tmp_path / name
    )
    poet = Poet.open(bundle)
    poet.engine = engine
    return poet


def write(poet, *, form=WUJUE, **options):
    """Tokens under the lengths alone, for the sand knows no tones."""
    free = poet.constraint(form, Rules(regulated=False))
    options = {"sampling": BOLD, "seed": 3, "constraint": free, **options}
    return list(poet.compose(["春江"], form=form, **options))


def lines_of(tokens, candidate=0, form=WUJUE):
    text = "".join(token.text for token in tokens if token.candidate == candidate)
    return [text[start : start + form.characters] for start in range(0, len(text), form.characters)]


def test_characters_come_in_order_for_every_candidate(poet):
    tokens = write(poet, candidates=3, line_choices=4)
    assert [(token.line, token.position, token.candidate) for token in tokens] == [
        (line, position, candidate) for line in range(4) for position in range(5) for candidate in range(3)
    ]


def test_the_judges_line_goes_on(poet):
    judge = Last()
    tokens = write(poet, candidates=2, line_choices=3, judge=judge)
    poems = [lines_of(tokens, candidate) for candidate in range(2)]
    assert len(judge.shown) == 4
    for line, (trials, keywords) in enumerate(judge.shown):
        assert keywords == ["春江"]
        for poem, trial in zip(poems, trials, strict=True):
            assert list(trial.before) == poem[:line]
            assert trial.lines[-1] == poem[line]
            assert len(set(trial.lines)) == 3
            assert not trial.parallel
    values = [token.log_probability for token in tokens if (token.candidate, token.line) == (1, 2)]
    assert sum(values) == pytest.approx(judge.shown[2][0][1].log_probabilities[-1], abs=1e-4)


def test_the_poet_has_read_what_it_wrote(poet):
    tokens = write(poet, candidates=2, line_choices=3, judge=Last())
    end = TOKENIZER.id_of(EOS)
    for candidate in range(2):
        lines = [TOKENIZER.encode(line) for line in lines_of(tokens, candidate)]
        if poet.architecture == "gpt2":
            written = [token for line in lines for token in [*line, end]]
            # The last character and the end after it are not read any more.
            assert any(row[-len(written) + 2 :] == written[:-2] for row in poet.engine.read_rows)
        else:
            for line in lines:
                assert any(row[-4:] == line[:-1] for row in poet.engine.read_rows)


@pytest.mark.parametrize("choices", [1, 4])
def test_a_candidate_is_the_same_alone_and_among_others(poet, choices):
    alone = lines_of(write(poet, candidates=1, line_choices=choices))
    among = write(poet, candidates=3, line_choices=choices)
    assert lines_of(among, 0) == alone
    assert len({tuple(lines_of(among, candidate)) for candidate in range(3)}) == 3
    assert among == write(poet, candidates=3, line_choices=choices)


def test_more_choices_give_likelier_lines(poet):
    def likelihood(choices):
        return sum(token.log_probability for token in write(poet, candidates=8, line_choices=choices))

    assert likelihood(1) < likelihood(2) < likelihood(8)


def test_a_line_that_is_stopped_is_not_yielded(poet):
    asked = iter([False] * 8 + [True] * 100)
    tokens = write(poet, line_choices=2, stopped=lambda: next(asked))
    assert {token.line for token in tokens} <= {0}
    assert len(tokens) in (0, 5)


def test_parallel_lines_are_judged_as_such_under_rules_alone(poet, monkeypatch):
    wulv = FORMS["wulv"]
    free = poet.constraint(wulv, Rules(regulated=False))
    ruled = SimpleNamespace(begin=free.begin, parallel_lines=wulv.parallel_lines)
    for constraint, expected in ((free, []), (ruled, [3, 5])):
        judge = Last()
        write(poet, form=wulv, line_choices=2, judge=judge, constraint=constraint)
        assert [place for place, (trials, _) in enumerate(judge.shown) if trials[0].parallel] == expected
