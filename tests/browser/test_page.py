"""The page in a real browser, before a server of fakes. `open_page` sees that no request leaves the host."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `web` is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from page_steps import choose, seals, written
from playwright.sync_api import expect

from fakes import FakePoet
from web_gateway import running_gateway


@pytest.fixture(scope="module")
def gateway(server):
    with running_gateway(server.target) as address:
        yield address


def test_a_picture_brings_keywords_and_a_poem(gateway, open_page):
    page = open_page(gateway, typeface=True)
    choose(page)
    lines = written(page)
    assert [len(line) for line in lines] == [7, 7, 7, 7]
    assert len(seals(page)) == 8
    assert page.locator(".score").first.text_content().startswith("0.")
    assert page.locator("#preview").evaluate("image => image.naturalWidth") == 640
    # Columns from right to left, characters from top to bottom.
    boxes = [page.locator(".line").nth(line).bounding_box() for line in (0, 1, 3)]
    assert boxes[0]["x"] > boxes[1]["x"] > boxes[2]["x"]
    first, second = (page.locator(".char").nth(place).bounding_box() for place in (0, 1))
    assert second["y"] > first["y"]
    assert "seed=" in page.url
    assert page.evaluate("document.fonts.check('20px \"Image2poem Kai\"', '楼')")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(gateway, open_page, event):
    page = open_page(gateway)
    page.evaluate(
        """async (kind) => {
            const blob = await (await fetch("/static/examples/flower.webp")).blob();
            const carried = new DataTransfer();
            carried.items.add(new File([blob], "flower.webp", { type: "image/webp" }));
            const made = kind === "paste" ? ClipboardEvent : DragEvent;
            const name = kind === "paste" ? "clipboardData" : "dataTransfer";
            document.body.dispatchEvent(new made(kind, { [name]: carried, bubbles: true }));
        }""",
        event,
    )
    assert len(written(page)) == 4


def test_struck_added_and_moved_words_are_what_the_next_poem_is_about(gateway, open_page):
    page = open_page(gateway)
    choose(page)
    written(page)
    before = seals(page)
    page.locator("#seals button").nth(1).click()
    page.locator("#seals button").nth(0).press("Alt+ArrowRight")
    page.fill("#word", "no han")
    page.press("#word", "Enter")
    assert "Chinese" in page.text_content("#notice")
    page.fill("#word", "扁舟")
    page.press("#word", "Enter")
    with page.expect_request("**/api/poems") as asked:
        page.click("#write")
    kept = [before[0], *before[2:]]
    wish = json.loads(asked.value.post_data)
    assert wish["keywords"] == ["扁舟", *[word for word in kept if word != "扁舟"]]
    written(page)


def test_one_line_is_written_anew_and_the_others_stay(gateway, open_page):
    page = open_page(gateway)
    choose(page)
    before = written(page)
    with page.expect_request("**/api/poems**") as asked:
        page.locator(".redo").nth(2).click()
    assert "fixed_texts" in asked.value.url
    expect(page.locator(".line .text").nth(2)).not_to_have_text(before[2])
    page.wait_for_selector(".redo:not(:disabled)")
    after = page.locator(".line .text").all_text_contents()
    assert [after[place] for place in (0, 1, 3)] == [before[place] for place in (0, 1, 3)]


def test_candidates_stand_side_by_side_and_can_be_chosen(gateway, open_page):
    page = open_page(gateway)
    page.click("#more summary")
    page.select_option("select[name=candidates]", "3")
    choose(page)
    written(page)
    assert page.locator(".candidate").count() == 3
    assert page.locator(".candidate .best").count() == 1
    chosen = page.locator(".candidate[aria-pressed=true]")
    place = 1 if chosen.evaluate("card => !card.previousElementSibling") else 0
    other = page.locator(".candidate").nth(place)
    poem = "".join(other.locator(".small-poem span").all_text_contents())
    other.click()
    assert "".join(written(page)) == poem
    assert other.get_attribute("aria-pressed") == "true"


def test_tones_and_faults_are_shown(gateway, open_page):
    page = open_page(gateway)
    choose(page)
    written(page)
    page.click("#marks")
    page.wait_for_selector(".checked:not([hidden])")
    assert page.locator(".line .mark").count() == 28
    assert page.locator(".checked li").count() > 0
    page.locator(".checked li.error").first.focus()
    page.click("#marks")
    assert page.locator(".mark:visible").count() == 0


def test_the_card_is_downloaded(gateway, open_page):
    image = pytest.importorskip("PIL.Image")
    page = open_page(gateway)
    choose(page)
    lines = written(page)
    with page.expect_download() as saved:
        page.click("#card")
    assert saved.value.suggested_filename == f"{lines[0]}.png"
    assert image.open(io.BytesIO(Path(saved.value.path()).read_bytes())).width > 600


def test_a_link_holds_the_poem_and_how_it_was_made(gateway, open_page):
    page = open_page(gateway)
    page.locator("input[value=wujue]").check(force=True)
    choose(page)
    lines, words = written(page), seals(page)
    page.click("#link")
    other = open_page(gateway, page.url[page.url.index("#") :], locale="zh-CN")
    assert written(other) == lines
    assert seals(other) == words
    assert other.locator("input[value=wujue]").is_checked()
    assert other.input_value("input[name=seed]").isdecimal()
    assert other.text_content("h1") == "题画"


class LongPoet(FakePoet):
    """Writes 七律 too."""

    forms = ("wujue", "qijue", "qilv")


def test_a_phone_shows_all_without_scrolling_sideways(serve, open_page):
    with running_gateway(serve({"t5": LongPoet()}).target) as address:
        page = open_page(address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
        assert page.locator("#camera").is_visible()
        page.locator("input[value=qilv]").check(force=True)
        choose(page)
        assert len(written(page)) == 8
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for name in (".line", ".title", ".stamp", "#write", "#tools"):
            box = page.locator(name).last.bounding_box()
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= 360, name


def test_language_and_theme_are_switched_and_kept(gateway, open_page):
    page = open_page(gateway, color_scheme="dark")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click("#language")
    assert page.text_content("#choose") == "选一幅"
    page.click("#theme")
    page.reload()
    assert (page.get_attribute("html", "data-theme"), page.get_attribute("html", "lang")) == (
        "light",
        "zh-Hans",
    )


def test_the_first_paint_is_light(gateway, browser):
    context = browser.new_context()
    page = context.new_page()
    wire = context.new_cdp_session(page)
    urls, sizes = {}, {}
    wire.on(
        "Network.requestWillBeSent", lambda said: urls.update({said["requestId"]: said["request"]["url"]})
    )
    wire.on(
        "Network.loadingFinished", lambda said: sizes.update({said["requestId"]: said["encodedDataLength"]})
    )
    wire.send("Network.enable")
    page.goto(f"http://{gateway}/", wait_until="networkidle")
    context.close()
    loaded = {urls[number]: size for number, size in sizes.items() if number in urls}
    assert len(loaded) > 10
    assert sum(size for url, size in loaded.items() if not url.endswith(".woff2")) < 300_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(gateway, open_page, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    spoken = {"light": "zh-CN", "dark": "en-US"}[theme]
    page = open_page(gateway, color_scheme=theme, locale=spoken, bypass_csp=True)
    found = [*_serious(axe.Axe().run(page))]
    page.click("#more summary")
    page.select_option("select[name=candidates]", "2")
    choose(page)
    written(page)
    page.click("#marks")
    page.wait_for_selector(".checked:not([hidden])")
    page.locator("#seals button").nth(1).click()
    page.fill("#word", "x")
    page.press("#word", "Enter")
    found += _serious(axe.Axe().run(page))
    assert not found


def _serious(results) -> list[str]:
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]} {fault['nodes'][0].get('failureSummary', '')}"
        for fault in results.response["violations"]
        if fault["impact"] in ("serious", "critical", "moderate")
    ]
