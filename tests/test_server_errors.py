"""Every failure has its status and its reason, and the service goes on after each."""

from __future__ import annotations

import logging

import grpc
import pytest
from google.protobuf.message import DecodeError

from fakes import BROKEN_PICTURE, PICTURE
from image2poem.v1 import error_reason_pb2, poem_pb2, prosody_pb2, rules_pb2
from image2poem.v1 import poem_service_pb2 as pb
from index_builder.index import InvalidVector
from models.image import InvalidImage
from models.prompt import PromptTooLong
from models.sampling import InvalidOption
from server import errors, telemetry
from server.admission import DeadlineTooShort, Draining, Overloaded, TooManyStreams, Unhealthy
from server.catalog import NotReady, UnknownModel
from serving import reason_of

CODE = grpc.StatusCode
FixedText = rules_pb2.FixedText


def compose(**wish):
    return "ComposePoem", pb.ComposePoemRequest(**wish)


def lookup(**wish):
    return "LookupKeywords", pb.LookupKeywordsRequest(**wish)


def words(*texts):
    return pb.KeywordList(words=texts)


def ruled(**values):
    return compose(text="秋江", rules=rules_pb2.Rules(**values))


def drawn(**values):
    return compose(text="秋江", sampling=poem_pb2.Sampling(**values))


def fail(server, method, request):
    """The error of a call that must fail."""
    call = getattr(server.stub, method)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(request) if method == "ComposePoem" else [call(request)])
    return caught.value


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (InvalidImage, CODE.INVALID_ARGUMENT, "INVALID_IMAGE"),
        (InvalidOption, CODE.INVALID_ARGUMENT, "INVALID_OPTION"),
        (InvalidVector, CODE.INVALID_ARGUMENT, "INVALID_OPTION"),
        (PromptTooLong, CODE.INVALID_ARGUMENT, "PROMPT_TOO_LONG"),
        (UnknownModel, CODE.NOT_FOUND, "UNKNOWN_MODEL"),
        (Overloaded, CODE.RESOURCE_EXHAUSTED, "OVERLOADED"),
        (DeadlineTooShort, CODE.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT"),
        (TooManyStreams, CODE.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
        (NotReady, CODE.UNAVAILABLE, "NOT_READY"),
        (Draining, CODE.UNAVAILABLE, "DRAINING"),
        (Unhealthy, CODE.UNAVAILABLE, "UNHEALTHY"),
        (errors.Unauthenticated, CODE.UNAUTHENTICATED, "UNAUTHENTICATED"),
        (errors.PermissionDenied, CODE.PERMISSION_DENIED, "PERMISSION_DENIED"),
        (DecodeError, CODE.INVALID_ARGUMENT, "INVALID_OPTION"),
    ],
)
def test_the_table(kind, code, reason):
    assert errors.TABLE[kind] == errors.Failure(code, reason)
    derived = type("Derived", (kind,), {})
    assert errors.failure_of(derived.__new__(derived)) == errors.Failure(code, reason)


def test_the_table_and_the_contract_name_the_same_reasons():
    declared = {
        name.removeprefix("ERROR_REASON_")
        for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
        if "UNSPECIFIED" not in name
    }
    assert {failure.reason for failure in errors.TABLE.values()} | {errors.INTERNAL.reason} == declared


def test_what_the_table_does_not_know_is_internal():
    assert errors.failure_of(ValueError("x")) is errors.INTERNAL
    assert errors.failure_of(NotImplementedError()) is errors.INTERNAL


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (compose(), "source"),
        (lookup(), "source"),
        (compose(picture=b""), "picture"),
        (lookup(picture=b""), "picture"),
        (lookup(picture=PICTURE, top_k=0), "top_k: must be 1 to 64"),
        (lookup(picture=PICTURE, top_k=1_000_000), "top_k: must be 1 to 64"),
        (lookup(picture=PICTURE, top_k=-1), "top_k: must be 1 to 64"),
        (compose(picture=PICTURE, top_k=65), "top_k: must be 1 to 64"),
        (compose(picture=PICTURE, candidates=0), "candidates: must be 1 to 16"),
        (compose(picture=PICTURE, candidates=17), "candidates: must be 1 to 16"),
        (compose(picture=PICTURE, form=99), "form"),
        (compose(picture=PICTURE, form=poem_pb2.FORM_QILV), "form: t5 writes wujue, qijue"),
        (compose(picture=PICTURE, seed=2**63), "seed: must be 0 to"),
        (compose(text=""), "text: must have 1 to 200"),
        (compose(text="   "), "text: must have 1 to 200"),
        (compose(text="秋" * 201), "text: must have 1 to 200"),
        (lookup(text="hello"), "text"),
        (compose(keywords=words()), "keywords: must be 1 to 16"),
        (compose(keywords=words(*["月"] * 17)), "keywords: must be 1 to 16"),
        (compose(keywords=words("明月", "moon")), "keywords[1]"),
        (compose(keywords=words("明月。")), "keywords[0]"),
        (compose(keywords=words("")), "keywords[0]: must have 1 to 8"),
        (compose(keywords=words("明" * 9)), "keywords[0]: must have 1 to 8"),
        (lookup(vector=pb.Vector()), "vector: must have 16 values, not 0"),
        (lookup(vector=pb.Vector(values=[1.0] * 17)), "vector: must have 16 values, not 17"),
        (lookup(vector=pb.Vector(values=[float("nan")] * 16)), "vector"),
        (lookup(vector=pb.Vector(values=[float("inf")] * 16)), "vector"),
        (lookup(vector=pb.Vector(values=[0.0] * 16)), "vector"),
        (drawn(temperature=-0.1), "temperature"),
        (drawn(temperature=2.1), "temperature"),
        (drawn(temperature=float("nan")), "temperature"),
        (drawn(top_p=0), "top_p"),
        (drawn(top_p=1.1), "top_p"),
        (drawn(top_p=float("nan")), "top_p"),
        (drawn(top_k=-1), "top_k"),
        (drawn(min_p=1.0), "min_p"),
        (drawn(frequency_penalty=-1), "frequency_penalty"),
        (compose(text="秋江", subject="打油"), "subject: t5 knows 送别, 春, not 打油"),
        (ruled(acrostic="春" * 9), "rules.acrostic: characters: must be 0 to 8, not 9"),
        (ruled(fixed_texts=[FixedText(text="春")] * 57), "rules.fixed_texts: must be 0 to 56, not 57"),
        (ruled(fixed_texts=[FixedText(line=-1, text="春")]), "rules.fixed_texts[0].line"),
        (ruled(fixed_texts=[FixedText(line=8, text="春")]), "rules.fixed_texts[0].line: must be 0 to 7"),
        (ruled(fixed_texts=[FixedText(position=-1, text="春")]), "rules.fixed_texts[0].position"),
        (ruled(fixed_texts=[FixedText()]), "rules.fixed_texts[0].text: is empty"),
        (ruled(rhyme_group="十七江"), "rules.rhyme_group"),
        (ruled(rhyme_book=9), "rhyme_book: there is no rhyme book 9"),
        (ruled(pattern=9), "rules.pattern: there is no pattern 9"),
    ],
    ids=str,
)
def test_invalid_options_name_field_and_limits(server, call, field):
    error = fail(server, *call)
    assert (error.code(), reason_of(error)) == (CODE.INVALID_ARGUMENT, "INVALID_OPTION")
    assert field in error.details()


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        (compose(picture=BROKEN_PICTURE), CODE.INVALID_ARGUMENT, "INVALID_IMAGE"),
        (lookup(picture=BROKEN_PICTURE), CODE.INVALID_ARGUMENT, "INVALID_IMAGE"),
        (compose(keywords=words("长江")), CODE.INVALID_ARGUMENT, "PROMPT_TOO_LONG"),
        (ruled(acrostic="春夏秋冬春"), CODE.INVALID_ARGUMENT, "IMPOSSIBLE_RULES"),
        (ruled(acrostic="abc"), CODE.INVALID_ARGUMENT, "IMPOSSIBLE_RULES"),
        (compose(picture=PICTURE, poet="libai"), CODE.NOT_FOUND, "UNKNOWN_MODEL"),
        (("CheckPoem", prosody_pb2.CheckPoemRequest(text="moon")), CODE.INVALID_ARGUMENT, "INVALID_OPTION"),
        (lookup(picture=b"defect"), CODE.INTERNAL, "INTERNAL"),
    ],
    ids=str,
)
def test_other_failures(server, call, code, reason):
    error = fail(server, *call)
    assert (error.code(), reason_of(error)) == (code, reason)
    assert server.stub.LookupKeywords(pb.LookupKeywordsRequest(picture=PICTURE)).keywords


def test_a_defect_in_the_middle_of_a_poem_keeps_what_was_sent_and_says_nothing_of_itself(
    server, caplog, monkeypatch
):
    monkeypatch.setattr(telemetry.log, "propagate", True)
    received = []
    messages = server.stub.ComposePoem(pb.ComposePoemRequest(keywords=words("坏")))
    with caplog.at_level(logging.ERROR, telemetry.log.name), pytest.raises(grpc.RpcError) as caught:
        received.extend(message.WhichOneof("event") for message in messages)
    assert received == ["retrieved"] + ["token"] * 5
    assert (caught.value.code(), reason_of(caught.value)) == (CODE.INTERNAL, "INTERNAL")
    assert caught.value.details() == errors.INTERNAL_TEXT
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_a_failed_poem_gives_its_place_back(server):
    for _ in range(20):
        fail(server, *compose(keywords=words("坏")))
    assert server.app.poems.admission.in_use == 0


def test_bytes_that_are_no_message_are_the_callers_fault(server):
    for method in ("LookupKeywords", "ComposePoem"):
        # What the server answers to is the same on the wire, whether it streams or not.
        call = server.channel.unary_stream(f"/image2poem.v1.PoemService/{method}", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(b"\xff\xff\xff"))
        assert (caught.value.code(), reason_of(caught.value)) == (CODE.INVALID_ARGUMENT, "INVALID_OPTION")


def test_a_small_message_that_is_large_when_it_is_unpacked_is_refused(serve):
    running = serve(max_message_bytes=1 << 20)
    request = pb.LookupKeywordsRequest(picture=bytes(2 << 20))
    with pytest.raises(grpc.RpcError) as caught:
        running.stub.LookupKeywords(request, compression=grpc.Compression.Gzip)
    assert caught.value.code() == CODE.RESOURCE_EXHAUSTED
