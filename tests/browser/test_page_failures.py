"""The page where something goes wrong: huge and wrong files, a busy or dying server, a tab that closes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from page_steps import choose, written
from playwright.sync_api import expect

from gated import gated
from web_gateway import running_gateway

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent


@pytest.fixture(scope="module")
def gateway(server):
    with running_gateway(server.target) as address:
        yield address


def test_a_picture_of_30_mb_is_made_small_before_it_travels(gateway, open_page, tmp_path):
    image = pytest.importorskip("PIL.Image")
    huge = tmp_path / "huge.bmp"
    image.new("RGB", (3200, 3200), "teal").save(huge)
    assert huge.stat().st_size > 30_000_000
    page = open_page(gateway)
    with page.expect_request("**/api/poems**") as asked:
        choose(page, str(huge))
    assert asked.value.headers["content-type"] == "image/jpeg"
    written(page)
    assert page.locator("#preview").evaluate("image => image.naturalWidth") == 1280


def test_files_that_are_no_pictures_are_refused_kindly(gateway, open_page, tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("broken, for this is a text", encoding="utf-8")
    page = open_page(gateway)
    choose(page, str(text))
    page.wait_for_selector("#notice:not([hidden])")
    assert "does not look like a picture" in page.text_content("#notice")
    text.write_bytes(b"broken" * 2_000_000)
    choose(page, str(text))
    expect(page.locator("#notice")).to_contain_text("too large")
    assert page.locator(".stamp").count() == 0


def test_a_busy_server_is_asked_again(serve, open_page):
    server, poet = gated(serve, workers=1, waiting=0)
    with running_gateway(server.target) as address:
        first, second = open_page(address), open_page(address)
        choose(first)
        first.wait_for_selector(".sheet:not([hidden])")
        choose(second)
        second.wait_for_selector("#notice:not([hidden])")
        assert "busy" in second.text_content("#notice")
        poet.let(1000)
        assert len(written(first)) == len(written(second)) == 4


def test_a_tab_that_closes_frees_its_place(serve, open_page):
    server, poet = gated(serve, workers=1, waiting=0)
    with running_gateway(server.target) as address:
        page = open_page(address)
        choose(page)
        page.wait_for_selector(".sheet:not([hidden])")
        page.close()
        poet.let(1000)
        assert poet.ended.wait(10)
        assert poet.steps < 28


def test_a_server_that_dies_leaves_what_was_written(open_page):
    command = [
        sys.executable,
        str(TESTS / "fake_server.py"),
        "--listen",
        "127.0.0.1:0",
        "--line-choices",
        "1",
    ]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'clients'}", "FAKE_STEP_SECONDS": "0.5", "PATH": ""}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = json.loads(server.stdout.readline())["address"]
            with running_gateway(address) as gateway:
                page = open_page(gateway)
                choose(page)
                expect(page.locator(".line .text").first).to_have_text(re.compile("..."))
                server.kill()
                page.wait_for_selector("#notice:not([hidden])")
                assert "What was written stays" in page.text_content("#notice")
                assert page.get_by_role("button", name="Try again").is_visible()
                assert page.locator(".line .text").first.text_content()
        finally:
            server.kill()
