"""CheckPoem over a real connection: the wire says what the checker says."""

from __future__ import annotations

import grpc
import pytest

from image2poem.v1 import poem_pb2, prosody_pb2, rules_pb2
from models.prosody import RHYME_BOOKS, rhyme_book
from models.prosody.checker import check

TOWER = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
WEI = "渭城朝雨浥轻尘，客舍青青柳色新。劝君更尽一杯酒，西出阳关无故人。"
BROKEN = "关关雎鸠，在河之洲。窈窕淑女，君子好逑。"
TONES = {"P": "TONE_LEVEL", "Z": "TONE_OBLIQUE", "x": "TONE_EITHER", None: "TONE_UNSPECIFIED"}


def ask(server, text, book=rules_pb2.RHYME_BOOK_UNSPECIFIED):
    return server.stub.CheckPoem(prosody_pb2.CheckPoemRequest(text=text, rhyme_book=book))


def test_a_good_poem(server):
    found = ask(server, TOWER)
    assert found.form == poem_pb2.FORM_WUJUE
    assert found.pattern == rules_pb2.TONAL_PATTERN_A_UNRHYMED
    assert found.pattern_name == "仄起首句不入韵（正格）"
    assert (found.rhyme_book, found.rhyme_group) == (rules_pb2.RHYME_BOOK_PINGSHUI, "十一尤")
    assert (found.conforms, found.conforms_resolved, list(found.faults)) == (True, True, [])
    assert [line.text for line in found.lines] == ["白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"]
    assert [line.rhymed for line in found.lines] == [False, True, False, True]
    last = found.lines[3].characters[4]
    assert (last.text, last.tone, last.required) == ("楼", prosody_pb2.TONE_LEVEL, prosody_pb2.TONE_LEVEL)
    assert last.verdict == prosody_pb2.VERDICT_GOOD
    [reading] = last.readings
    assert (reading.tone, reading.rhyme_group, reading.prior) == (prosody_pb2.TONE_LEVEL, "十一尤", 1.0)


@pytest.mark.parametrize("text", [TOWER, WEI, BROKEN, "山" * 20, "床前□月光𰻝"])
def test_the_wire_says_what_the_checker_says(server, text):
    found, report = ask(server, text), check(text)
    assert found.form == (poem_pb2.Form.Value(f"FORM_{report.form.name.upper()}") if report.form else 0)
    assert (found.conforms, found.conforms_resolved) == (report.conforms, report.conforms_resolved)
    for mine, theirs in zip(found.lines, report.lines, strict=True):
        assert (mine.text, mine.rhymed) == (theirs.text, theirs.rhymed)
        for one, other in zip(mine.characters, theirs.characters, strict=True):
            assert prosody_pb2.Tone.Name(one.tone) == TONES[other.tone]
            assert prosody_pb2.Tone.Name(one.required) == TONES[other.required]
            assert prosody_pb2.Verdict.Name(one.verdict) == f"VERDICT_{other.verdict.name}"
            assert [each.rhyme_group for each in one.readings] == [each.group for each in other.readings]
            assert [each.prior for each in one.readings] == pytest.approx(
                [each.prior for each in other.readings]
            )
    for mine, theirs in zip(found.faults, report.faults, strict=True):
        assert (mine.kind, mine.name, mine.line) == (theirs.kind, theirs.name, theirs.line)
        assert prosody_pb2.Severity.Name(mine.severity) == f"SEVERITY_{theirs.severity.name}"
        assert (tuple(mine.positions), mine.explanation) == (theirs.positions, theirs.explanation)
    for mine, theirs in zip(found.rescues, report.rescues, strict=True):
        assert (mine.kind, mine.name, mine.line) == (theirs.kind, theirs.name, theirs.line)
        assert (tuple(mine.positions), mine.explanation) == (theirs.positions, theirs.explanation)


@pytest.mark.parametrize("name", RHYME_BOOKS)
def test_each_book(server, name):
    number = rules_pb2.RhymeBook.Value(f"RHYME_BOOK_{name.upper()}")
    found = ask(server, TOWER, number)
    assert found.rhyme_book == number
    assert found.rhyme_group == check(TOWER, book=rhyme_book(name)).rhyme_group


@pytest.mark.parametrize(
    ("text", "book", "word"),
    [
        ("", 0, "text: must have 1 to 200 characters, not 0"),
        (" \n ", 0, "text: must have 1 to 200 characters, not 0"),
        ("山" * 201, 0, "text: must have 1 to 200 characters, not 201"),
        ("To be, or not to be", 0, "no Chinese character"),
        (TOWER, 77, "rhyme_book"),
    ],
)
def test_what_is_refused(server, text, book, word):
    with pytest.raises(grpc.RpcError) as caught:
        ask(server, text, book)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(caught.value.trailing_metadata())["image2poem-reason"] == "INVALID_OPTION"
    assert word in caught.value.details()


def test_the_longest_text_is_answered(server):
    found = ask(server, "山" * 200)
    assert (found.conforms, found.form) == (False, poem_pb2.FORM_UNSPECIFIED)


def test_nothing_is_answered_before_the_server_is_ready(serve):
    running = serve(late=True)
    with pytest.raises(grpc.RpcError) as caught:
        ask(running, TOWER)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
