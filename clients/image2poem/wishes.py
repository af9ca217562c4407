"""What callers may ask for: the arguments of both clients. What is left out is the server's choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict


class LookupWish(TypedDict, total=False):
    """Exactly one of `picture`, `text`, `vector`.

    picture: an image file's bytes.
    text: Chinese text, 1 … 200 characters.
    vector: from the server's encoder, of its dimension.
    top_k: how many keywords, 1 … 64; 8 by default.
    """

    picture: bytes | None
    text: str | None
    vector: Sequence[float] | None
    top_k: int | None


class ComposeWish(TypedDict, total=False):
    """Exactly one of `picture`, `keywords`, `text`.

    picture: an image file's bytes.
    keywords: 1 … 16 words of 1 … 8 Chinese characters.
    text: Chinese text, 1 … 200 characters.
    poet: name of one of the server's poets.
    form: wujue, qijue, wulv or qilv.
    subject: what kind of poem, e.g. 送别; `ServerInfo.poets` lists what each poet knows.
    top_k: how many keywords are looked up, 1 … 64; 8 by default.
    candidates: how many poems are written, of which the best is chosen, 1 … 16; 1 by default.
    line_choices: of how many lines each line is chosen, 1 … 16; the server's default is in `ServerInfo`. With
        more than 1 the characters of a line arrive together.
    seed: makes the poem repeatable, 0 … 2^63 − 1.
    temperature: 0 … 2; 0 always takes the likeliest character.
    top_p: draw from the likeliest characters that together have this probability, above 0, up to 1.
    sampling_top_k: draw from this many likeliest characters; 0 sets no such bound.
    min_p: draw from characters at least this many times as likely as the likeliest one, 0 … below 1.
    frequency_penalty: taken from a character's logit for each time that it stands in the poem, 0 … 10.
    regulated: False keeps the lengths and the fixed characters alone, no tones and no rhyme.
    pattern: a_unrhymed, a_rhymed, b_unrhymed or b_rhymed: the kind of line 1, and whether it rhymes.
    rhyme_book: pingshui (the default), cilin, xinyun or tongyun.
    rhyme_group: a level group of the book, e.g. 十一尤 or 尤; `ServerInfo.rhyme_books` lists them.
    acrostic: the first characters of the lines (藏头).
    fixed_texts: (line, position, text), both numbers from 0: characters that stand at these places.
    """

    picture: bytes | None
    keywords: Iterable[str] | None
    text: str | None
    poet: str | None
    form: str | None
    subject: str | None
    top_k: int | None
    candidates: int | None
    line_choices: int | None
    seed: int | None
    temperature: float | None
    top_p: float | None
    sampling_top_k: int | None
    min_p: float | None
    frequency_penalty: float | None
    regulated: bool | None
    pattern: str | None
    rhyme_book: str | None
    rhyme_group: str | None
    acrostic: str | None
    fixed_texts: Iterable[tuple[int, int, str]] | None
