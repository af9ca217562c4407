"""Cards: what stands where, what is refused, and that the client does without Pillow until one is wanted."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from image2poem import Candidate, Conformity, Finished, InvalidImage, Keyword, MissingExtra, Timings
from image2poem.__main__ import main
from image2poem._card_paper import PAPER, VERMILION
from image2poem._card_type import TYPEFACE
from image2poem.card import card_of, render_card, titles_of
from models.tokenizer import CharacterTokenizer
from test_cli import SOURCES

ROOT = Path(__file__).resolve().parent.parent
POEM = ("明月满寒阳", "人家如故乡", "青山无限地", "白日是春光")
BLUE = (40, 90, 200)
# Quick to draw; places are compared at this scale.
SMALL = 0.5


def picture(width: int, height: int, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), BLUE).save(file, kind, **options)
    return file.getvalue()


def drawn(poem=POEM, **options) -> Image.Image:
    return Image.open(BytesIO(render_card(poem, **{"picture": None, "scale": SMALL, **options}))).convert(
        "RGB"
    )


def box_of(card: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has about this colour."""
    near = [
        channel.point(lambda value, wanted=wanted: 255 * (abs(value - wanted) < 12))
        for channel, wanted in zip(card.split(), colour, strict=True)
    ]
    mask = Image.merge("RGB", near).convert("L").point(lambda value: 255 * (value == 255))
    box = mask.getbbox()
    assert box, f"nothing has the colour {colour}"
    return box


def darkness(card: Image.Image, left: float, right: float) -> int:
    """How much ink stands between two shares of the width."""
    part = card.crop((round(left * card.width), 0, round(right * card.width), card.height)).convert("L")
    return sum(part.point(lambda value: value < 90).histogram()[1:])


def test_a_broad_picture_stands_above_the_poem():
    card = drawn(picture=picture(600, 400))
    left, top, right, bottom = box_of(card, BLUE)
    assert (right - left) / (bottom - top) == pytest.approx(1.5, rel=0.01)
    assert left == pytest.approx(card.width - right, abs=2)
    seal = box_of(card, VERMILION)
    assert seal[1] > bottom
    assert seal[2] < card.width / 2


@pytest.mark.parametrize(("width", "height"), [(300, 400), (400, 400)], ids=["upright", "square"])
def test_an_upright_picture_stands_at_the_left(width, height):
    card = drawn(picture=picture(width, height))
    left, top, right, bottom = box_of(card, BLUE)
    assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=0.01)
    assert top == pytest.approx(card.height - bottom, abs=2)
    assert box_of(card, VERMILION)[0] > right
    assert right < card.width * 0.6


def test_a_poem_alone_is_on_paper_and_sealed():
    card = drawn()
    assert all(abs(value - paper) <= 8 for value, paper in zip(card.getpixel((3, 3)), PAPER, strict=True))
    assert box_of(card, VERMILION)[2] < card.width / 2


def test_columns_run_from_the_right():
    thick, thin = "霄" * 7, "一" * 7
    right = drawn((thick, thin, thin, thin), seal="印")
    left = drawn((thin, thin, thin, thick), seal="印")
    assert darkness(right, 0.6, 1) > 2 * darkness(left, 0.6, 1)
    assert darkness(left, 0.2, 0.5) > 2 * darkness(right, 0.2, 0.5)


def test_eight_lines_take_a_wider_card_of_the_same_make():
    four, eight = drawn(), drawn(POEM * 2)
    assert eight.width > 1.4 * four.width
    assert eight.height == four.height


def test_the_same_card_for_the_same_poem():
    options = {"picture": picture(300, 200), "title": "五绝", "keywords": ["明月"], "scale": SMALL}
    assert render_card(POEM, **options) == render_card(POEM, **options)
    assert render_card(POEM, **options) != render_card(POEM, **{**options, "title": "七绝"})
    assert render_card(POEM, **options) != render_card(POEM, **{**options, "keywords": ["故乡"]})


def test_scale_is_of_everything():
    small, large = drawn(scale=0.5), drawn(scale=1)
    assert large.width == pytest.approx(2 * small.width, abs=2)
    assert large.height == pytest.approx(2 * small.height, abs=2)


def test_more_keywords_than_there_is_room_for_are_left_out():
    many = [f"{character}{character}" for character in "春江潮水连海平月共生滟随波千万里"]
    assert drawn(keywords=many).size == drawn().size
    assert box_of(drawn(keywords=many), VERMILION) == box_of(drawn(), VERMILION)


def test_a_title_is_a_column_in_chinese_and_a_row_in_english():
    plain, chinese = drawn(), drawn(title="五绝", subtitle="平水韵　七阳")
    english = drawn(title="A quatrain", subtitle="rhyme 七阳", language="en")
    assert chinese.width > plain.width
    assert english.size == plain.size
    foot = (0, round(plain.height * 0.9), plain.width, plain.height)
    assert min(english.crop(foot).convert("L").tobytes()) < 170 < min(plain.crop(foot).convert("L").tobytes())


def test_a_telephones_picture_is_turned_upright():
    turned = Image.Exif()
    turned[0x0112] = 6
    left, top, right, bottom = box_of(drawn(picture=picture(400, 300, "JPEG", exif=turned)), BLUE)
    assert right - left < bottom - top


def test_what_is_transparent_is_paper():
    file = BytesIO()
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(file, "PNG")
    assert darkness(drawn(["一"], picture=file.getvalue(), seal="印"), 0, 0.3) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_that_servers_read(kind):
    assert drawn(["春"], picture=picture(60, 40, kind), scale=0.25).width > 60


@pytest.mark.parametrize("data", [b"", b"no picture", picture(300, 200)[:200]], ids=["empty", "text", "half"])
def test_what_is_no_picture(data):
    with pytest.raises(InvalidImage, match="picture: "):
        render_card(POEM, picture=data)


@pytest.mark.parametrize(
    ("poem", "options"),
    [
        ([], {}),
        (["春"] * 17, {}),
        (["春" * 17], {}),
        (["春", ""], {}),
        (POEM, {"seal": "春江潮水连海平月共生"}),
        (POEM, {"language": "fr"}),
        (POEM, {"scale": 0.1}),
        (POEM, {"scale": 5}),
        (POEM, {"scale": float("nan")}),
    ],
)
def test_what_no_card_can_be(poem, options):
    with pytest.raises(ValueError, match=r"poem|seal|language|scale"):
        render_card(poem, picture=None, **options)


@pytest.mark.parametrize("seal", ["印", "偶成", "春江月", "因图得句", "春江潮水连海平月共"])
def test_seals_of_one_to_nine_characters(seal):
    left, top, right, bottom = box_of(drawn(seal=seal), VERMILION)
    assert 0.3 < (right - left) / (bottom - top) < 1.2


def finished(**options) -> Finished:
    rhyme = Conformity(
        conforms=True, conforms_resolved=True, pattern="a_rhymed", rhyme_book="pingshui", rhyme_group="七阳"
    )
    timings = Timings(
        queue_ms=0, encode_ms=0, search_ms=0, first_token_ms=0, write_ms=0, rank_ms=0, total_ms=0
    )
    candidates: tuple[Candidate, ...] = ()
    return Finished(
        **{
            "poem": POEM,
            "finish_reason": "complete",
            "best_candidate": 0,
            "candidates": candidates,
            "keywords": (Keyword(text="明月", score=0.3),),
            "index_version": "1",
            "seed": 1,
            "poet": "t5",
            "form": "wujue",
            "timings": timings,
            "conformity": rhyme,
            "copied_lines": (),
            **options,
        }
    )


def test_form_and_rhyme_are_the_title():
    assert titles_of(finished()) == ("五绝", "平水韵　七阳")
    assert titles_of(finished(), "en") == ("A quatrain of five-character lines", "rhyme 七阳 of 平水韵")
    assert titles_of(finished(conformity=None)) == ("五绝", "")
    expected = render_card(
        POEM, picture=None, title="五绝", subtitle="平水韵　七阳", keywords=["明月"], scale=SMALL
    )
    assert card_of(finished(), picture=None, scale=SMALL) == expected


def test_the_typeface_has_nearly_all_that_the_poets_write():
    """What it lacks stands in Unicode's later blocks: an empty box on a card."""
    face = ImageFont.truetype(ROOT / "clients" / "image2poem" / "data" / TYPEFACE, 12)
    missing = bytes(face.getmask("\U000e0fff"))
    characters = {
        text
        for poet in ("t5", "gpt2")
        for text in CharacterTokenizer.read(ROOT / "models" / "bundles" / poet / "vocab.txt").vocabulary
        if len(text) == 1
    }
    lacking = [text for text in characters if bytes(face.getmask(text)) == missing]
    assert len(lacking) < 0.015 * len(characters)
    assert not [text for text in lacking if "\u4e00" <= text <= "\u9fff"]
    own = "因图得句偶成平水韵词林正中华新通五七绝律·abcXYZ"
    assert not [text for text in own if bytes(face.getmask(text)) == missing]


def test_the_typeface_comes_with_its_licence():
    data = ROOT / "clients" / "image2poem" / "data"
    assert (data / TYPEFACE).stat().st_size < 1_500_000
    assert "SIL OPEN FONT LICENSE" in (data / "OFL.txt").read_text(encoding="utf-8").upper()


def test_the_command_line_writes_a_card(server, tmp_path, capsys):
    lake, card = tmp_path / "lake.png", tmp_path / "card.png"
    lake.write_bytes(picture(300, 200))
    assert main(["compose", str(lake), "--card", str(card), "--target", server.target]) == 0
    with Image.open(card) as image:
        assert (image.format, image.width > 1000) == ("PNG", True)
    capsys.readouterr()
    assert main(["compose", str(lake), "--card", str(tmp_path / "no" / "card.png")]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), str(tmp_path / "no") in err) == ("", 1, True)


def test_without_pillow_all_but_cards_works(monkeypatch, capsys):
    loaded = subprocess.run(
        [sys.executable, "-c", "import image2poem.__main__, sys; print('PIL' in sys.modules)"],
        env={"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout == "False\n"
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"image2poem-client\[card\]"):
        render_card(POEM, picture=None)
    assert main(["compose", "--text", "春", "--card", "card.png", "--target", "127.0.0.1:1"]) == 1
    assert "image2poem-client[card]" in capsys.readouterr().err
