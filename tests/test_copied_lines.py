"""A poem whose lines stand in the corpus says so: in the events, to the client, on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from fakes import FakePoet, snapshot
from image2poem import Client, CopiedLine, Finished
from image2poem.__main__ import main
from image2poem.v1 import poem_service_pb2 as pb
from models.bundle import open_bundle
from models.prosody import FORMS
from models.sources import Sources
from models.training import sources as builder
from models.training.corpus import Poem
from server.config import Config, parse
from server.pipeline import compose
from server.request import Composition, Words

WISH = {"keywords": ["明月"], "form": "wujue", "seed": 5}


class ShortPoet(FakePoet):
    """Stops after the third character of the second line."""

    def compose(self, *arguments, **wish):
        for token in super().compose(*arguments, **wish):
            if (token.line, token.position) == (1, 3):
                return
            yield token


def lines_of(poet=None, candidates=1):
    """What the fake poet writes, a poem a candidate."""
    words = Words(words=("明月",))
    wish = Composition(source=words, form=FORMS["wujue"], seed=5, candidates=candidates)
    end = list(compose(snapshot({"t5": poet or FakePoet()}), wish))[-1]
    return [candidate.lines for candidate in end.candidates]


def sources_of(folder: Path, *poems: tuple[str, str, str, str]) -> Sources:
    """Of lines, each with the dynasty, author and title of a poem that it alone makes."""
    corpus = [
        Poem(form="wujue", dynasty=dynasty, author=author, title=title, lines=(line,))
        for line, dynasty, author, title in poems
    ]
    return Sources.open(builder.write(corpus, folder / "sources", {"licence": "public domain"}))


@pytest.fixture
def known(tmp_path):
    """The second and the fourth line that the fake poet writes, the latter from two poems."""
    [(_, second, _, fourth)] = lines_of()
    return sources_of(
        tmp_path,
        (second, "song", "陆游", "雪霁"),
        (fourth, "song", "释绍嵩", "偶成"),
        (fourth, "tang", "王维", ""),
    )


@pytest.fixture
def start(serve):
    """Starts a server that knows lines again."""

    def start(sources, poet=None):
        poets = {"t5": poet or FakePoet()}
        return serve(load=lambda config: dataclasses.replace(snapshot(poets), sources=sources))

    return start


def test_copied_lines_are_named_in_the_last_event(start, known):
    with Client(start(known).target) as client:
        end = list(client.compose(**WISH))[-1]
        info = client.info()
    expected = (
        CopiedLine(line=1, dynasty="song", author="陆游", title="雪霁", elsewhere=False),
        CopiedLine(line=3, dynasty="tang", author="王维", title="", elsewhere=True),
    )
    assert isinstance(end, Finished)
    assert end.copied_lines == end.candidates[0].copied_lines == expected
    assert (info.sources.name, info.sources.lines) == ("sources", 2)
    assert info.sources.fingerprint == known.fingerprint


def test_each_candidate_has_its_own(start, tmp_path):
    first, second = lines_of(candidates=2)
    known = sources_of(tmp_path, (second[0], "song", "陆游", "雪霁"))
    with Client(start(known).target) as client:
        end = list(client.compose(**WISH, candidates=2))[-1]
    assert [candidate.lines for candidate in end.candidates] == [first, second]
    assert [len(candidate.copied_lines) for candidate in end.candidates] == [0, 1]
    assert end.copied_lines == end.candidates[end.best_candidate].copied_lines


def test_a_line_that_was_broken_off_is_nobodys(start, tmp_path):
    """A short line may well stand somewhere as a line of a shorter form."""
    [(first, broken)] = lines_of(ShortPoet())
    assert len(broken) == 3
    known = sources_of(tmp_path, (first, "tang", "王维", "终南山"), (broken, "tang", "王维", "终南山"))
    assert known.of(broken)
    with Client(start(known, ShortPoet()).target) as client:
        end = list(client.compose(**WISH))[-1]
    assert (end.finish_reason, [copied.line for copied in end.copied_lines]) == ("incomplete", [0])


def test_without_sources_the_field_is_empty_and_the_server_says_so(server):
    end = list(server.stub.ComposePoem(pb.ComposePoemRequest(text="秋江")))[-1].finished
    assert not end.copied_lines
    assert not server.stub.GetServerInfo(pb.GetServerInfoRequest()).HasField("sources")


def test_people_read_a_quiet_note(start, known, capsys):
    target = ["--target", start(known).target]
    command = ["compose", "--keywords", "明月", "--form", "wujue", "--seed", "5", *target]
    assert main(command) == 0
    *poem, blank, first, second, closing = capsys.readouterr().out.splitlines()
    assert (blank, first, second) == ("", "第2句见〔宋〕陆游《雪霁》", "第4句见〔唐〕王维等")
    assert (len(poem[-1]), closing.split(" ")[0]) == (6, "五绝")
    assert main([*command, "--json"]) == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert end["copied_lines"] == end["candidates"][0]["copied_lines"]
    assert end["copied_lines"][0] == {
        "line": 1,
        "dynasty": "song",
        "author": "陆游",
        "title": "雪霁",
        "elsewhere": False,
    }
    assert main(["info", *target]) == 0
    assert "\nsources  sources, 2 lines\n" in capsys.readouterr().out


def test_the_bundle_is_an_option_and_may_be_left_out(tmp_path):
    assert parse(["--sources", "none"], {}).sources is None
    assert parse([], {"IMAGE2POEM_SOURCES": "none"}).sources is None
    assert parse(["--sources", str(tmp_path)], {}).sources == tmp_path
    assert open_bundle(Config().sources, kind="sources").name == "sources"
