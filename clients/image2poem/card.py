"""Picture and poem composed as one image: the extra `image2poem-client[card]`.

from image2poem.card import card_of

Path("card.png").write_bytes(card_of(finished, picture=picture))
"""

from __future__ import annotations

from collections.abc import Sequence

from image2poem._names import BOOKS, FORMS
from image2poem.errors import MissingExtra
from image2poem.events import Finished

LANGUAGES = ("zh", "en")
_ENGLISH = {
    "wujue": "A quatrain of five-character lines",
    "qijue": "A quatrain of seven-character lines",
    "wulv": "Regulated verse in five-character lines",
    "qilv": "Regulated verse in seven-character lines",
}
# Verses got from a picture; verses by chance.
_SEALS = {True: "因图得句", False: "偶成"}
_LONGEST_SEAL = 9


def card_of(
    finished: Finished,
    *,
    picture: bytes | None,
    seal: str = "",
    language: str = "zh",
    scale: float = 1,
) -> bytes:
    """The card of a poem, its form and rhyme as title, its keywords as signature; see `render_card`."""
    title, subtitle = titles_of(finished, language)
    keywords = [keyword.text for keyword in finished.keywords]
    return render_card(
        finished.poem,
        picture=picture,
        title=title,
        subtitle=subtitle,
        keywords=keywords,
        seal=seal,
        language=language,
        scale=scale,
    )


def titles_of(finished: Finished, language: str = "zh") -> tuple[str, str]:
    """Form and rhyme as a card names them; the second is empty for a poem that keeps no rhyme."""
    title = (FORMS if language == "zh" else _ENGLISH).get(finished.form, finished.form)
    kept = finished.conformity
    if kept is None or not kept.conforms or not kept.rhyme_group:
        return title, ""
    book = BOOKS.get(kept.rhyme_book, kept.rhyme_book)
    if language == "zh":
        return title, f"{book}　{kept.rhyme_group}"
    return title, f"rhyme {kept.rhyme_group} of {book}"


def render_card(
    poem: Sequence[str],
    *,
    picture: bytes | None,
    title: str = "",
    subtitle: str = "",
    keywords: Sequence[str] = (),
    seal: str = "",
    language: str = "zh",
    scale: float = 1,
) -> bytes:
    """Picture and poem on paper: columns from right to left, a red seal, title and keywords in small type.

    Args:
        poem: its lines without punctuation, in their order, 1 … 16 of 1 … 16 characters.
        picture: an image file's bytes (JPEG, PNG, WebP, GIF, BMP or TIFF), or None for the poem alone. A
            broad picture stands above the poem, an upright or square one at its left.
        title: what it is, e.g. 七绝; in `zh` a column before the poem, in `en` a row at the foot.
        subtitle: what follows the title, e.g. its rhyme.
        keywords: written below the poem's end as far as there is room.
        seal: 1 … 9 Chinese characters; 因图得句 with a picture and 偶成 without by default.
        language: of title and subtitle, `zh` or `en`.
        scale: 1 makes a card of some 1300 pixels in width, 2 twice as many; 0.25 … 4.

    Returns:
        a PNG file's bytes, the same for the same arguments and Pillow.

    Raises:
        InvalidImage: the picture is damaged, or none.
        MissingExtra: Pillow is not installed.
        ValueError: an argument is outside its limits.
    """
    seal = seal or _SEALS[picture is not None]
    if not 1 <= len(poem) <= 16 or not all(1 <= len(line) <= 16 for line in poem):
        raise ValueError("poem: must be 1 to 16 lines of 1 to 16 characters")
    if len(seal) > _LONGEST_SEAL:
        raise ValueError(f"seal: must be 1 to {_LONGEST_SEAL} characters")
    if language not in LANGUAGES:
        raise ValueError(f"language: must be one of {', '.join(LANGUAGES)}")
    if not 0.25 <= scale <= 4:
        raise ValueError("scale: must be 0.25 to 4")
    require_pillow()
    from image2poem._card_layout import Writing, lay_out

    titles = [text for text in (title, subtitle) if text]
    writing = Writing(
        poem=poem,
        heading=titles if language == "zh" else (),
        keywords=keywords,
        footer="" if language == "zh" else " · ".join(titles),
        seal=seal,
    )
    return lay_out(writing, picture, scale)


def require_pillow() -> None:
    """Raises MissingExtra where Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingExtra("cards need Pillow: pip install 'image2poem-client[card]'") from error
