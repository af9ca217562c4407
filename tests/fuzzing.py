"""Random requests: mostly near to what is allowed, so that they come far, and wrong in some place or none."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from image2poem.v1 import poem_pb2, prosody_pb2, rules_pb2
from image2poem.v1 import poem_service_pb2 as pb

HAN = "春江潮水连海平月共生秋山明故乡白日依尽黄河入流长一二三"


@dataclass(frozen=True)
class Call:
    """A method, and a message for it, bytes that may be none, or a list of them for a stream."""

    method: str
    request: Any


def _picture(kind: str, mode: str, size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    buffer = io.BytesIO()
    gradient = Image.linear_gradient("L").resize(size)
    picture = Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180))).convert(mode)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _picture("JPEG", "RGB", exif=exif)


PICTURES = {
    "jpeg": _picture("JPEG", "RGB"),
    "progressive": _picture("JPEG", "RGB", progressive=True),
    "cmyk": _picture("JPEG", "CMYK"),
    "oriented": _with_orientation(),
    "png": _picture("PNG", "RGB"),
    "palette": _picture("PNG", "P"),
    "alpha": _picture("PNG", "RGBA"),
    "sixteen": _picture("PNG", "I;16"),
    "one bit": _picture("PNG", "1"),
    "webp": _picture("WEBP", "RGB"),
    "lossless": _picture("WEBP", "RGBA", lossless=True),
    "gif": _picture("GIF", "P"),
    "bmp": _picture("BMP", "RGB"),
    "tiff": _picture("TIFF", "RGB"),
    "lzw": _picture("TIFF", "RGB", compression="tiff_lzw"),
    "animated": _picture("GIF", "P", save_all=True, append_images=[Image.new("P", (24, 16), 3)]),
}

Mutation = Callable[[bytes], bytes]


def _flip(place: int, value: int) -> Mutation:
    def flip(data: bytes) -> bytes:
        at = place % max(1, len(data))
        return data[:at] + bytes([value]) + data[at + 1 :]

    return flip


def _cut(place: int, _: int) -> Mutation:
    return lambda data: data[: place % max(1, len(data))]


def _repeat(place: int, length: int) -> Mutation:
    def repeat(data: bytes) -> bytes:
        at = place % max(1, len(data))
        return data[:at] + data[at : at + length] + data[at:]

    return repeat


def _drop(place: int, length: int) -> Mutation:
    def drop(data: bytes) -> bytes:
        at = place % max(1, len(data))
        return data[:at] + data[at + length :]

    return drop


def _fill(place: int, value: int) -> Mutation:
    """Four bytes of one value: lengths and sizes are numbers of four bytes."""

    def fill(data: bytes) -> bytes:
        at = place % max(1, len(data))
        return data[:at] + bytes([value]) * 4 + data[at + 4 :]

    return fill


# Headers are where the sizes stand.
_PLACES = st.integers(0, 64) | st.integers(0, 4096)
MUTATIONS = st.builds(
    lambda make, place, value: make(place, value),
    st.sampled_from([_flip, _flip, _cut, _repeat, _drop, _fill]),
    _PLACES,
    st.integers(0, 255),
)


@st.composite
def damaged_pictures(draw: Any) -> bytes:
    """A picture of some format with up to eight mutations, or no picture at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = PICTURES[draw(st.sampled_from(sorted(PICTURES)))]
    for mutate in draw(st.lists(MUTATIONS, max_size=8)):
        data = mutate(data)
    return data


_INT32 = st.integers(-(2**31), 2**31 - 1)
_FLOATS = st.sampled_from([0.1, 0.5, 0.9]) | st.sampled_from([0.0, 1.0, 2.0]) | st.floats(width=32)
_HAN = st.text(st.sampled_from(HAN), min_size=1, max_size=8)
_ODD_TEXTS = st.sampled_from(["", " ", "秋" * 201, "\x00", "𠀀月", "秋\u200b江"])
_TEXTS = _HAN | _HAN | st.text(max_size=20) | _ODD_TEXTS
_TOP_K = st.integers(1, 64) | st.sampled_from([0, 65]) | _INT32
_FORMS = st.sampled_from([0, 1, 2, 3, 4]) | _INT32


def _maybe(strategy: Any) -> Any:
    """Mostly not: a field that is left out leaves the rest to be looked at."""
    return st.integers(0, 4).flatmap(lambda chance: strategy if chance == 0 else st.none())


def message(kind: Any, /, **fields: Any) -> Any:
    """Messages of a kind; fields that are None are left out."""
    return st.fixed_dictionaries(fields).map(
        lambda values: kind(**{name: value for name, value in values.items() if value is not None})
    )


_SAMPLING = message(
    poem_pb2.Sampling,
    temperature=_maybe(_FLOATS),
    top_p=_maybe(_FLOATS),
    top_k=_maybe(st.integers(1, 50) | _INT32),
    min_p=_maybe(_FLOATS),
    frequency_penalty=_maybe(_FLOATS),
)
_FIXED = message(
    rules_pb2.FixedText, line=_maybe(st.integers(-1, 8)), position=_maybe(st.integers(-1, 8)), text=_TEXTS
)
_RULES = message(
    rules_pb2.Rules,
    unregulated=_maybe(st.booleans()),
    pattern=_maybe(st.integers(0, 4) | _INT32),
    rhyme_book=_maybe(st.integers(0, 4) | _INT32),
    rhyme_group=_maybe(st.sampled_from(["尤", "东", "一东", "麻", "十一尤"]) | _TEXTS),
    acrostic=_maybe(st.text(st.sampled_from(HAN), max_size=9) | _TEXTS),
    fixed_texts=_maybe(st.lists(_FIXED, max_size=4)),
)
_GOOD_WORDS = st.lists(st.sampled_from(["明月", "故乡", "秋江"]), min_size=1, max_size=5)
_WORDS = (_GOOD_WORDS | st.lists(_HAN | _TEXTS, max_size=17)).map(lambda words: pb.KeywordList(words=words))


def _sources(**sources: Any) -> Any:
    """One of the sources of a request, seldom none."""
    one = st.one_of(*(st.tuples(st.just(name), strategy) for name, strategy in sources.items()))
    return st.one_of(one, one, one, st.none())


@st.composite
def compositions(draw: Any, most_candidates: int = 17) -> Call:
    """ComposePoem, with a source of every kind but pictures."""
    source = draw(_sources(text=_TEXTS, keywords=_WORDS))
    request = draw(
        message(
            pb.ComposePoemRequest,
            poet=_maybe(st.sampled_from(["t5", "gpt2", "libai"])),
            form=_maybe(_FORMS),
            top_k=_maybe(_TOP_K),
            sampling=_maybe(_SAMPLING),
            seed=_maybe(st.integers(0, 2**64 - 1)),
            candidates=_maybe(st.integers(0, most_candidates)),
            line_choices=_maybe(st.integers(1, 4) | st.integers(0, 17) | _INT32),
            subject=_maybe(st.sampled_from(["送别", "春", "打油"])),
            rules=_maybe(_RULES),
        )
    )
    if source is not None:
        request.MergeFrom(pb.ComposePoemRequest(**dict([source])))
    return Call("ComposePoem", request)


def _vectors(dimension: int) -> Any:
    """Mostly of the right size and of numbers."""
    sizes = st.sampled_from([dimension, dimension, dimension]) | st.integers(0, 2 * dimension)
    values = st.sampled_from([st.floats(-1, 1, width=32), st.floats(-1, 1, width=32), _FLOATS])
    return st.tuples(sizes, values).flatmap(
        lambda chosen: st.lists(chosen[1], min_size=chosen[0], max_size=chosen[0]).map(
            lambda numbers: pb.Vector(values=numbers)
        )
    )


@st.composite
def lookups(draw: Any, dimension: int = 16) -> Call:
    """LookupKeywords by text or vector."""
    source = draw(_sources(text=_TEXTS, vector=_vectors(dimension)))
    request = draw(message(pb.LookupKeywordsRequest, top_k=_maybe(_TOP_K)))
    if source is not None:
        request.MergeFrom(pb.LookupKeywordsRequest(**dict([source])))
    return Call("LookupKeywords", request)


_VERSE = st.lists(st.text(st.sampled_from(HAN), max_size=8), max_size=9).map("，".join)
checks = message(
    prosody_pb2.CheckPoemRequest, text=_VERSE | _TEXTS, rhyme_book=_maybe(st.integers(0, 4) | _INT32)
).map(lambda request: Call("CheckPoem", request))


@st.composite
def garbled(draw: Any) -> Call:
    """The bytes of a good request, damaged; or any bytes."""
    call = draw(st.one_of(lookups(), compositions(), checks))
    data = call.request.SerializeToString()
    for mutate in draw(st.lists(MUTATIONS, min_size=1, max_size=4)):
        data = mutate(data)
    return Call(call.method, data if draw(st.booleans()) else draw(st.binary(max_size=60)))


def picture_lookups() -> Any:
    return damaged_pictures().map(lambda data: Call("LookupKeywords", pb.LookupKeywordsRequest(picture=data)))
