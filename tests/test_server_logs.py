"""The log: whose request a line is about, that values cannot forge lines, and what it never says."""

from __future__ import annotations

import io
import json
import logging
import re
from contextlib import closing, contextmanager

import grpc
import pytest

from fakes import PICTURE, eventually
from image2poem.v1 import poem_service_pb2 as pb
from server import telemetry

ID = "x-request-id"
MADE = re.compile(r"[0-9a-f]{32}")
HAN = re.compile(r"[\u3400-\u9fff]")
WORDS = pb.KeywordList(words=["明月", "故乡"])


@contextmanager
def logged(**options):
    """The server's log, into a text that is complete when the block ends."""
    before = telemetry.log.handlers, telemetry.log.propagate, telemetry.log.level
    stream = io.StringIO()
    with closing(telemetry.configure(level="info", stream=stream, **{"style": "json", **options})):
        yield stream
    telemetry.log.handlers, telemetry.log.propagate, level = before
    telemetry.log.setLevel(level)


def requests_in(stream, count):
    """The lines of `count` requests; a call may end for its caller before its line is written."""

    def lines():
        entries = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [entry for entry in entries if entry["message"] == "request"]

    assert eventually(lambda: len(lines()) == count)
    return lines()


def test_a_callers_id_comes_back_and_is_logged(server):
    with logged() as stream:
        _, call = server.stub.LookupKeywords.with_call(
            pb.LookupKeywordsRequest(picture=PICTURE), metadata=((ID, "order-66/a"),)
        )
        [line] = requests_in(stream, 1)
    assert dict(call.trailing_metadata())[ID] == line["request_id"] == "order-66/a"
    assert (line["method"], line["code"]) == ("LookupKeywords", "OK")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}\+00:00", line["time"])


def test_a_stream_tells_the_id_that_was_made_for_it_at_its_end(server):
    call = server.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE))
    list(call)
    assert MADE.fullmatch(dict(call.trailing_metadata())[ID])


def test_a_failure_tells_its_id_beside_its_reason(server):
    with pytest.raises(grpc.RpcError) as caught:
        server.stub.LookupKeywords(pb.LookupKeywordsRequest(), metadata=((ID, "mine"),))
    trailing = dict(caught.value.trailing_metadata())
    assert (trailing[ID], trailing["image2poem-reason"]) == ("mine", "INVALID_OPTION")


@pytest.mark.parametrize("given", ["", "two words", 'say="hi"', "x" * 129, "a\tb"])
def test_an_id_that_could_harm_a_log_is_replaced(given):
    assert MADE.fullmatch(telemetry.id_from(given))
    assert telemetry.id_from("a-Z_0.9:b/c+d=e@f") == "a-Z_0.9:b/c+d=e@f"


def test_the_traceback_of_a_defect_names_its_request_and_quotes_no_text(server):
    with logged() as stream:
        with pytest.raises(grpc.RpcError):
            list(
                server.stub.ComposePoem(
                    pb.ComposePoemRequest(keywords=pb.KeywordList(words=["坏"])), metadata=((ID, "bad"),)
                )
            )
        requests_in(stream, 1)
        failure, request = map(json.loads, stream.getvalue().splitlines())
    assert failure["request_id"] == request["request_id"] == "bad"
    assert "ZeroDivisionError" in failure["exception"]
    assert (request["code"], request["reason"]) == ("INTERNAL", "INTERNAL")


@pytest.mark.parametrize("style", ["json", "text"])
def test_no_text_of_a_caller_or_a_poet_is_logged_unasked(server, style):
    with logged(style=style) as stream:
        list(server.stub.ComposePoem(pb.ComposePoemRequest(keywords=WORDS)))
        server.stub.LookupKeywords(pb.LookupKeywordsRequest(text="秋江"))
        with pytest.raises(grpc.RpcError):
            list(server.stub.ComposePoem(pb.ComposePoemRequest(keywords=WORDS, subject="打油")))
        assert eventually(lambda: stream.getvalue().count("duration_ms") == 3)
        telemetry.log.error("failed", exc_info=KeyError("明月"))
    assert "KeyError: '…'" in stream.getvalue().replace("\\", "")
    assert not HAN.search(stream.getvalue())


def test_poems_and_keywords_are_logged_when_asked(server):
    with logged(poems=True) as stream:
        [*_, last] = server.stub.ComposePoem(pb.ComposePoemRequest(keywords=WORDS))
        [line] = requests_in(stream, 1)
    assert line["poem"] == "，".join(last.finished.poem)
    assert line["keywords"] == "明月 故乡"


def test_no_value_can_look_like_a_field_or_a_line(caplog):
    with logged(style="text") as stream:
        telemetry.event("loaded", path='a b="c"\nrequest code=OK', seconds=1.23456, word="whole")
    [line] = stream.getvalue().splitlines()
    assert line.endswith(r'INFO loaded path="a b=\"c\"\nrequest code=OK" seconds=1.23 word=whole')


def test_a_note_outside_of_a_request_is_nothing():
    telemetry.note(poet="t5")
    telemetry.note_texts(poem="春")
    assert telemetry.current() is None


def test_a_cancelled_call_is_logged_as_such(server):
    with logged() as stream:
        call = server.stub.ComposePoem(pb.ComposePoemRequest(picture=PICTURE))
        next(call)
        call.cancel()
        [line] = requests_in(stream, 1)
    assert line["code"] in {"CANCELLED", "OK"}
    assert telemetry.log.level in {logging.NOTSET, logging.INFO}
