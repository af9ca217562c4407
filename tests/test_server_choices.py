"""How many lines each line is chosen of: from the request to the poet and its judge."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from fakes import PICTURE, FakeEncoder, FakePoet
from image2poem import Client, InvalidOption
from image2poem.__main__ import main
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from models.choice import Trials
from models.sampling import Sampling
from server.config import Config, parse


@pytest.fixture
def poet() -> FakePoet:
    return FakePoet()


@pytest.fixture
def running(serve, poet):
    return serve(poets={"t5": poet})


def compose(running, **wish):
    source = {} if {"picture", "keywords"} & set(wish) else {"text": "秋江"}
    return list(running.stub.ComposePoem(pb.ComposePoemRequest(**source | wish)))


def chosen(poet: FakePoet, *lines: str) -> str:
    """What the judge that the poet was given takes of equally likely lines."""
    trials = Trials(before=[], lines=lines, log_probabilities=np.zeros(len(lines)))
    [place] = poet.judge.choose([trials], keywords=[])
    return lines[place]


@pytest.mark.parametrize(
    ("wish", "choices"),
    [({}, 4), ({"candidates": 16}, 4), ({"line_choices": 1}, 1), ({"line_choices": 16, "candidates": 4}, 16)],
)
def test_the_request_goes_before_the_default(running, poet, wish, choices):
    compose(running, **wish)
    assert poet.line_choices == choices


def test_without_choice_characters_are_drawn_less_boldly(serve, running, poet):
    compose(running)
    assert poet.sampling == Sampling()
    compose(running, line_choices=1)
    assert poet.sampling == Sampling(temperature=0.85, top_p=0.95)
    compose(running, line_choices=1, sampling=poem_pb2.Sampling(temperature=1.5, min_p=0.1))
    assert poet.sampling == Sampling(temperature=1.5, top_p=0.95, min_p=0.1)
    compose(serve(poets={"t5": poet}, line_choices=1))
    assert poet.sampling.temperature == 0.85


@pytest.mark.parametrize(("candidates", "choices"), [(1, 10), (6, 10), (7, 9), (16, 4)])
def test_the_default_leaves_room_for_the_candidates(serve, poet, candidates, choices):
    compose(serve(poets={"t5": poet}, line_choices=10), candidates=candidates)
    assert poet.line_choices == choices


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"line_choices": 0}, "line_choices: must be 1 to 16, not 0"),
        ({"line_choices": 17}, "line_choices: must be 1 to 16, not 17"),
        ({"line_choices": -1}, "line_choices: must be 1 to 16, not -1"),
        ({"line_choices": 5, "candidates": 13}, "candidates times line_choices: must be 1 to 64, not 65"),
        ({"candidates": 0}, "candidates: must be 1 to 16, not 0"),
        ({"candidates": -3}, "candidates: must be 1 to 16, not -3"),
    ],
)
def test_choices_outside_their_limits_are_refused(running, wish, message):
    with pytest.raises(grpc.RpcError) as caught:
        compose(running, **wish)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert ("image2poem-reason", "INVALID_OPTION") in caught.value.trailing_metadata()
    assert caught.value.details() == message


def test_lines_are_judged_by_what_the_poem_is_about(running, poet):
    compose(running, text="秋江")
    assert chosen(poet, "明月", "秋江", "故乡") == "秋江"
    compose(running, picture="故乡".encode())
    assert chosen(poet, "明月", "秋江", "故乡") == "故乡"
    compose(running, keywords=pb.KeywordList(words=["明月", "明月"]))
    assert chosen(poet, "故乡", "秋江", "明月") == "明月"


def test_similarity_can_be_turned_off(serve, poet):
    compose(serve(poets={"t5": poet}, line_similarity=False), text="秋江")
    assert chosen(poet, "明月", "秋江", "故乡") == "明月"


def test_without_choice_keywords_are_encoded_after_the_poem_alone(serve, poet, monkeypatch):
    """Their vector is wanted for the ranking; the first character need not wait for it."""
    encoded = []
    encode = FakeEncoder.encode_texts
    monkeypatch.setattr(
        FakeEncoder, "encode_texts", lambda self, texts: encoded.append(poet.steps) or encode(self, texts)
    )
    running = serve(poets={"t5": poet})
    for choices in (1, 2):
        encoded.clear()
        poet.steps = 0
        compose(running, keywords=pb.KeywordList(words=["明月"]), line_choices=choices)
        assert min(encoded) == (28 if choices == 1 else 0)


def test_server_info_tells_default_and_limits(serve):
    info = serve(line_choices=7).stub.GetServerInfo(pb.GetServerInfoRequest())
    assert info.default_line_choices == 7
    assert (info.limits.max_line_choices, info.limits.max_lines_at_once) == (16, 64)


def test_the_client_hands_the_wish_on(running, poet):
    with Client(running.target) as client:
        list(client.compose(picture=PICTURE, line_choices=3))
        assert poet.line_choices == 3
        assert client.info().default_line_choices == 4
        assert client.info().limits.max_lines_at_once == 64
        with pytest.raises(InvalidOption, match="line_choices"):
            list(client.compose(picture=PICTURE, line_choices=99))


def test_the_command_line_hands_it_on_and_tells_the_default(running, poet, capsys, monkeypatch):
    monkeypatch.setenv("IMAGE2POEM_TARGET", running.target)
    assert main(["compose", "--text", "秋江", "--line-choices", "2"]) == 0
    assert poet.line_choices == 2
    assert main(["compose", "--text", "秋江", "--line-choices", "17"]) == 1
    assert "line_choices: must be 1 to 16, not 17" in capsys.readouterr().err
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "each line is the best of 4" in out
    assert "limit    max_line_choices 16" in out


def test_the_configuration():
    assert (Config().line_choices, Config().line_similarity) == (4, True)
    assert parse(["--line-choices", "1", "--no-line-similarity"], {}).line_choices == 1
    assert parse([], {"IMAGE2POEM_LINE_SIMILARITY": "no"}).line_similarity is False
    for wrong in ("0", "17"):
        with pytest.raises(SystemExit):
            parse(["--line-choices", wrong], {})
