"""The methods of PoemService over a real connection, with fakes behind them."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes import OTHER_PICTURE, PICTURE, FakeEncoder, FakePoet
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb


def finished(events):
    return list(events)[-1].finished


def test_lookup_by_picture_text_and_vector(server):
    by_picture = server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE))
    assert len(by_picture.keywords) == 8
    assert by_picture.index_version == "index-1"
    scores = [keyword.score for keyword in by_picture.keywords]
    assert scores == sorted(scores, reverse=True)

    by_text = server.stub.LookupKeywords(pb.LookupKeywordsRequest(text=" 秋江 ", top_k=1))
    assert [keyword.text for keyword in by_text.keywords] == ["秋江"]
    assert by_text.keywords[0].score == pytest.approx(1.0)

    vector = pb.Vector(values=FakeEncoder().encode_texts(["秋江"])[0] * 3)
    by_vector = server.stub.LookupKeywords(pb.LookupKeywordsRequest(vector=vector, top_k=64))
    assert by_vector.keywords[0].text == "秋江"
    assert by_vector.keywords[0].score == pytest.approx(1.0)
    assert len(by_vector.keywords) == 12
    assert by_vector.timings.total_ms > 0


@pytest.mark.parametrize("length", [1e-30, 1e-12, 1.0, 1e25, 2e38])
def test_a_vector_of_any_length_is_made_a_unit_one(server, length):
    vector = FakeEncoder().encode_texts(["秋江"])[0] * np.float32(length)
    found = server.stub.LookupKeywords(pb.LookupKeywordsRequest(vector=pb.Vector(values=vector)))
    assert found.keywords[0].text == "秋江"
    assert found.keywords[0].score == pytest.approx(1.0)


def test_events_come_in_order_and_agree(server):
    messages = list(server.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE, form=poem_pb2.FORM_WUJUE)))
    kinds = [message.WhichOneof("event") for message in messages]
    assert kinds == ["retrieved"] + (["token"] * 5 + ["line"]) * 4 + ["finished"]
    tokens = [message.token for message in messages if message.HasField("token")]
    assert [(token.line, token.position) for token in tokens] == [
        (line, place) for line in range(4) for place in range(5)
    ]
    lines = [message.line.text for message in messages if message.HasField("line")]
    assert "".join(token.text for token in tokens) == "".join(lines)
    end = messages[-1].finished
    assert list(end.poem) == lines
    assert end.finish_reason == poem_pb2.FINISH_REASON_COMPLETE
    assert (end.poet, end.form, end.index_version) == ("t5", poem_pb2.FORM_WUJUE, "index-1")
    assert list(end.keywords) == list(messages[0].retrieved.keywords)
    timings = end.timings
    assert 0 < timings.first_token_ms <= timings.total_ms
    stages = timings.queue_ms + timings.encode_ms + timings.search_ms + timings.write_ms + timings.rank_ms
    assert stages == pytest.approx(timings.total_ms, abs=1.0)


def test_the_same_seed_gives_the_same_poem_and_a_drawn_seed_is_named(server):
    def poem(**wish):
        return finished(server.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE, **wish)))

    first, again, other = poem(seed=7), poem(seed=7), poem(seed=8)
    assert first.seed == 7
    assert list(first.poem) == list(again.poem) != list(other.poem)
    drawn = poem()
    assert list(poem(seed=drawn.seed).poem) == list(drawn.poem)
    assert poem(seed=2**63 - 1).seed == 2**63 - 1


def test_two_pictures_give_different_keywords(server):
    def words(picture):
        return [
            keyword.text
            for keyword in server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=picture)).keywords
        ]

    assert words(PICTURE) != words(OTHER_PICTURE)


def test_given_keywords_are_used_as_they_are(server):
    request = pb.ComposePoemRequest(keywords=pb.KeywordList(words=["明月", " 故鄉 "]), top_k=3)
    messages = list(server.stub.ComposePoem(request))
    assert [(keyword.text, keyword.score) for keyword in messages[0].retrieved.keywords] == [
        ("明月", 0),
        ("故鄉", 0),
    ]
    assert messages[0].retrieved.index_version == "index-1"
    assert -1 <= messages[-1].finished.candidates[0].similarity <= 1


def test_text_is_looked_up(server):
    messages = list(server.stub.ComposePoem(pb.ComposePoemRequest(text="秋江", top_k=2, poet="gpt2")))
    assert len(messages[0].retrieved.keywords) == 2
    assert messages[0].retrieved.keywords[0].text == "秋江"
    assert messages[-1].finished.poet == "gpt2"


def test_the_best_candidate_is_named(server):
    end = finished(server.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE, candidates=5, seed=1)))
    assert len(end.candidates) == 5
    scores = [candidate.score for candidate in end.candidates]
    assert end.best_candidate == scores.index(max(scores))
    assert list(end.poem) == list(end.candidates[end.best_candidate].lines)
    assert sum(scores) == pytest.approx(0, abs=1e-5)
    assert len({tuple(candidate.lines) for candidate in end.candidates}) == 5


def test_an_unspecified_form_is_the_poets_own(serve):
    class Narrow(FakePoet):
        forms = ("wulv",)

    running = serve(poets={"narrow": Narrow("narrow")})
    end = finished(running.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE)))
    assert (end.form, len(end.poem)) == (poem_pb2.FORM_WULV, 8)


def test_a_poet_that_stops_early_is_incomplete(serve):
    class Brief(FakePoet):
        def compose(self, *arguments, **options):
            for token in super().compose(*arguments, **options):
                if token.line == 2 and token.position == 3:
                    return
                yield token

    end = finished(serve(poets={"brief": Brief()}).stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE)))
    assert end.finish_reason == poem_pb2.FINISH_REASON_INCOMPLETE
    assert [len(line) for line in end.poem] == [7, 7, 3]


def test_server_info(server):
    info = server.stub.GetServerInfo(pb.GetServerInfoRequest())
    assert [poet.name for poet in info.poets] == ["t5", "gpt2"]
    assert info.default_poet == "t5"
    assert list(info.forms) == [poem_pb2.FORM_WUJUE, poem_pb2.FORM_QIJUE]
    assert (info.index.version, info.index.size, info.index.kind) == ("index-1", 12, "flat")
    assert (info.encoder.dimension, list(info.encoder.execution_providers)) == (16, ["CPUExecutionProvider"])
    assert info.limits.max_top_k == 64
    assert info.limits.max_message_bytes == 8 * 2**20


def test_pictures_above_four_mebibytes_work(server):
    picture = PICTURE + bytes(6 * 2**20)
    assert len(server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=picture)).keywords) == 8


def test_messages_above_the_limit_are_refused_and_harm_nobody(server):
    with pytest.raises(grpc.RpcError) as caught:
        server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=bytes(9 * 2**20)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE)).keywords


def test_health_knows_both_names(server):
    stub = health_pb2_grpc.HealthStub(server.channel)
    for name in ("", "image2poem.v1.PoemService"):
        response = stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_service_unless_turned_off(server, serve):
    def services(running):
        stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [response] = stub.ServerReflectionInfo(iter([request]))
        return {service.name for service in response.list_services_response.service}

    assert {"image2poem.v1.PoemService", "grpc.health.v1.Health"} <= services(server)
    with pytest.raises(grpc.RpcError) as caught:
        services(serve(reflection=False))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
