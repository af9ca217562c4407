"""The gateway without a browser: its answers, its bounds, and what a browser that leaves does."""

from __future__ import annotations

import http.client
import io
import json
import re
import threading
import urllib.parse

import pytest

from fakes import PICTURE, FakePoet, eventually
from gated import gated

pytest.importorskip("starlette", reason="the extra `web` is not installed")

from web.app import STATIC, TYPEFACE
from web.config import Config, parse
from web.shield import Buckets
from web_gateway import ask, running_gateway, server_sent

WISH = {"keywords": ["明月", "故乡"], "form": "wujue", "seed": 4}


@pytest.fixture(scope="module")
def gateway(server):
    with running_gateway(server.target, max_upload_bytes=100_000) as address:
        yield address


def body_of(response: http.client.HTTPResponse) -> dict:
    return json.loads(response.read())


def test_the_page_has_no_outside_address_and_nothing_inline(gateway):
    response = ask(gateway, "GET", "/")
    html = response.read().decode()
    policy = response.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", html)
    for path in [STATIC / "index.html", *STATIC.rglob("*.js"), *STATIC.rglob("*.css")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[\w-]+\.\w|innerHTML|\beval\(", text), path


def test_every_answer_carries_the_headers(gateway):
    for path in ("/", "/static/js/main.js", "/api/info", "/api/nothing", "/kai.woff2"):
        response = ask(gateway, "GET", path)
        response.read()
        assert response.getheader("X-Content-Type-Options") == "nosniff", path
        assert "frame-ancestors 'none'" in response.getheader("Content-Security-Policy")


def test_the_typeface_is_small_and_draws_what_poets_write():
    image_font = pytest.importorskip("PIL.ImageFont")
    assert TYPEFACE.stat().st_size < 1_500_000
    font = image_font.truetype(str(TYPEFACE), 40)
    assert font.getname()[0] == "Image2poem Kai"
    drawn = {bytes(font.getmask(letter)) for letter in "\U0010fffd楼殿云霄秒韵岩"}
    assert len(drawn - {b""}) == 8
    assert "SIL OPEN FONT LICENSE" in (TYPEFACE.parent / "OFL.txt").read_text(encoding="utf-8")


def test_the_typeface_has_the_page_and_the_poets():
    fonts = pytest.importorskip("fontTools.ttLib")
    pytest.importorskip("brotli")
    from web.typeface import simplified, wanted_characters

    held = {chr(code) for code in fonts.TTFont(TYPEFACE).getBestCmap()}
    # The original lacks some rare ones; browsers take these from elsewhere.
    assert len(wanted_characters() - held) < 100
    page = "".join(path.read_text(encoding="utf-8") for path in STATIC.rglob("*.[hj][ts]*"))
    assert {letter for letter in page if "\u4e00" <= letter <= "\u9fff"} <= held
    square = [((0, 0), 1), ((50, 1), 1), ((100, 0), 1), ((100, 100), 1), ((50, 140), 0), ((0, 100), 1)]
    assert simplified(square, 1.0) == [square[0], *square[2:]]


def test_a_picture_becomes_a_stream_of_events(gateway):
    wish = urllib.parse.urlencode({"wish": json.dumps({"form": "wujue", "seed": 1})})
    response = ask(gateway, "POST", f"/api/poems?{wish}", PICTURE, {"Content-Type": "image/jpeg"})
    assert response.getheader("Content-Type").startswith("text/event-stream")
    events = list(server_sent(response))
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "retrieved"
    assert kinds.count("token") == 20
    assert kinds[-1] == "finished"
    said = "".join(value["text"] for kind, value in events if kind == "token")
    assert "".join(events[-1][1]["poem"]) == said
    assert len(events[0][1]["keywords"]) == 8


def test_words_make_the_same_poem_for_the_same_seed(gateway):
    poems = [list(server_sent(ask(gateway, "POST", "/api/poems", WISH)))[-1][1]["poem"] for _ in range(2)]
    assert poems[0] == poems[1]


def test_a_poem_is_checked(gateway):
    found = body_of(ask(gateway, "POST", "/api/checks", {"text": "白日依山尽黄河入海流欲穷千里目更上一层楼"}))
    assert (found["form"], found["conforms"]) == ("wujue", True)


def test_a_card_is_drawn(gateway):
    image = pytest.importorskip("PIL.Image")
    wish = {"poem": ["白日依山尽", "黄河入海流"], "title": "五绝", "scale": 0.5}
    response = ask(gateway, "POST", "/api/cards", wish)
    assert response.getheader("Content-Type") == "image/png"
    assert image.open(io.BytesIO(response.read())).width > 200
    assert ask(gateway, "POST", "/api/cards", {"poem": []}).status == 400


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({**WISH, "poet": "libai"}, "UNKNOWN_MODEL"),
        ({"keywords": ["长" * 4]}, "PROMPT_TOO_LONG"),
        ({"keywords": ["坏"]}, "INTERNAL"),
    ],
)
def test_a_poem_that_fails_says_why(gateway, wish, reason):
    kind, value = list(server_sent(ask(gateway, "POST", "/api/poems", wish)))[-1]
    assert (kind, value["reason"]) == ("failed", reason)
    assert "secret" not in value["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"no json", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b'{"seed": "four"}', "application/json", 400),
        (b'{"keywords": [1]}', "application/json", 400),
        (b'{"fixed_texts": [["a"]], "keywords": ["\xe6\x98\x8e\xe6\x9c\x88"]}', "application/json", 400),
        (b'{"wine": 1}', "application/json", 400),
        (b"{}", "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b"x" * 100_001, "image/jpeg", 413),
    ],
)
def test_what_is_no_wish_is_refused(gateway, body, kind, status):
    response = ask(gateway, "POST", "/api/poems", body, {"Content-Type": kind})
    assert response.status == status
    assert body_of(response)["reason"] in ("INVALID_OPTION", "TOO_LARGE")


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(gateway):
    endless = (b"x" * 10_000 for _ in range(50))
    response = ask(gateway, "POST", "/api/keywords", endless, {"Content-Type": "image/png"})
    assert response.status == 413


def test_a_body_that_comes_too_slowly_is_given_up(gateway, monkeypatch):
    monkeypatch.setattr("web.wish.BODY_SECONDS", 0.1)
    connection = http.client.HTTPConnection(gateway, timeout=20)
    connection.putrequest("POST", "/api/keywords")
    for name, value in {"Content-Type": "image/png", "Content-Length": "1000"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"a")
    assert connection.getresponse().status == 408


def test_no_other_name_can_be_bent_to_loopback(gateway):
    assert ask(gateway, "GET", "/", headers={"Host": "evil.example"}).status == 400


def test_an_address_that_asks_too_often_waits(server):
    with running_gateway(server.target, rate=3.0) as address:
        answers = [ask(address, "GET", "/api/info") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert 0 < body_of(answers[-1])["retry_after"] <= 20
        assert ask(address, "GET", "/").status == 200


def test_a_bucket_fills_again_and_forgets_old_addresses():
    now = [0.0]
    buckets = Buckets(60.0, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(61)] == [0.0] * 60 + [1.0]
    now[0] = 1.0
    assert (buckets.take("a"), buckets.take("b")) == (0.0, 0.0)
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets._levels) == 10_000


def test_a_server_that_is_not_there_is_unavailable():
    with running_gateway("127.0.0.1:1") as address:
        response = ask(address, "GET", "/api/info")
        assert (response.status, body_of(response)["reason"]) == (503, "UNAVAILABLE")
        assert list(server_sent(ask(address, "POST", "/api/poems", WISH)))[-1][1]["reason"] == "UNAVAILABLE"


def test_a_browser_that_leaves_frees_its_place(serve):
    server, poet = gated(serve, workers=1, waiting=0)
    poet.ended.clear()
    with running_gateway(server.target) as address:
        response = ask(address, "POST", "/api/poems", {**WISH, "line_choices": 1})
        assert next(server_sent(response))[0] == "retrieved"
        assert poet.waiting.acquire(timeout=10)
        busy = list(server_sent(ask(address, "POST", "/api/poems", WISH)))[-1]
        assert (busy[0], busy[1]["reason"]) == ("failed", "OVERLOADED")
        assert busy[1]["retry_after"] > 0
        response.connection.sock.close()
        response.close()
        assert eventually(lambda: poet.stopped())
        poet.let(1000)
        assert poet.ended.wait(10)
        assert poet.steps < 3

        def place_is_free() -> bool:
            kinds = [kind for kind, _ in server_sent(ask(address, "POST", "/api/poems", WISH))]
            return kinds[-1] == "finished"

        assert eventually(place_is_free)


class SlowPoet(FakePoet):
    """Takes two milliseconds for a step."""

    def before_step(self) -> None:
        threading.Event().wait(0.002)


def test_twenty_browsers_at_once_all_get_their_poem(serve):
    server = serve({"t5": SlowPoet()}, workers=2, waiting=32)
    ends: list[list[str]] = []

    def browse(number: int) -> None:
        wish = {**WISH, "seed": number}
        ends.append([kind for kind, _ in server_sent(ask(address, "POST", "/api/poems", wish))])

    with running_gateway(server.target) as address:
        browsers = [threading.Thread(target=browse, args=(number,)) for number in range(20)]
        for browser in browsers:
            browser.start()
        for browser in browsers:
            browser.join(60)
    assert len(ends) == 20
    assert all(kinds[0] == "retrieved" and kinds[-1] == "finished" for kinds in ends)


def test_options_come_from_flags_and_variables(capsys):
    config = parse(["--rate", "5"], {"IMAGE2POEM_WEB_LISTEN": "0.0.0.0:1", "IMAGE2POEM_WEB_RATE": "7"})
    assert (config.listen, config.rate, config.allowed_hosts) == ("0.0.0.0:1", 5.0, ["*"])
    assert Config().allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]
    assert Config(listen="0.0.0.0:80", hosts="a.example,b.example").allowed_hosts == [
        "a.example",
        "b.example",
    ]
    for wrong in (["--listen", "nowhere"], ["--rate", "-1"], ["--max-upload-bytes", "x"]):
        with pytest.raises(SystemExit):
            parse(wrong, {})
    assert "must be HOST:PORT" in capsys.readouterr().err
