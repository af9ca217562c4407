"""Pictures as people send them: every format, every mode, and bytes that are no picture at all."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from models.image import ImageSpec, InvalidImage, decode_image, to_pixels


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def halves(width: int = 64, height: int = 48) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def near(
    image: Image.Image, place: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 12
) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(image.getpixel(place), colour, strict=True))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file of these raw rows (each begins with filter byte 0)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_accepted_formats(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    image = decode_image(encoded(halves(), format, **options))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert near(image, (4, 24), (255, 0, 0))
    assert near(image, (60, 24), (0, 0, 255))


@pytest.mark.parametrize("format", ["PPM", "ICO", "TGA", "PCX", "SGI"])
def test_other_formats_are_refused_though_pillow_knows_them(format: str) -> None:
    Image.init()
    with pytest.raises(InvalidImage, match="one of the formats"):
        decode_image(encoded(halves(), format))


@pytest.mark.parametrize(
    "data", [b"hello", b"\0" * 4096, b"%PDF-1.7", b"<svg/>", b"RIFF\0\0\0\0WAVE", "明月几时有".encode()]
)
def test_not_a_picture(data: bytes) -> None:
    with pytest.raises(InvalidImage, match="JPEG, PNG, WebP"):
        decode_image(data)


def test_empty() -> None:
    with pytest.raises(InvalidImage, match="empty"):
        decode_image(b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_cut_short_anywhere(format: str) -> None:
    data = encoded(halves(), format)
    for length in range(1, len(data) - 1, max(1, len(data) // 40)):
        with suppress(InvalidImage):
            assert decode_image(data[:length]).mode == "RGB"
    with pytest.raises(InvalidImage, match="cut short"):
        decode_image(data[: len(data) // 2])


def test_damaged_anywhere() -> None:
    chance = np.random.default_rng(0)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = bytearray(encoded(halves(), format))
        for _ in range(60):
            broken = bytearray(data)
            for place in chance.integers(0, len(data), 3):
                broken[place] = chance.integers(0, 256)
            with suppress(InvalidImage):
                assert decode_image(bytes(broken), max_pixels=1_000_000).mode == "RGB"


def test_message_holds_no_bytes_of_the_picture() -> None:
    with pytest.raises(InvalidImage) as caught:
        decode_image(b"BM secret words of the caller" * 9)
    assert "secret" not in str(caught.value)


def test_decompression_bomb_is_refused_by_its_header() -> None:
    row = b"\0" * (20_000 // 8 + 1)
    data = png(20_000, 20_000, depth=1, colour=0, rows=row * 20_000)
    assert len(data) < 100_000
    with pytest.raises(InvalidImage, match="20000×20000 pixels; at most 50,000,000"):
        decode_image(data)


@pytest.mark.parametrize("lossless", [True, False])
def test_large_webp_is_refused_by_its_header(lossless: bool) -> None:
    data = encoded(Image.new("RGB", (300, 200)), "WEBP", lossless=lossless)
    with pytest.raises(InvalidImage, match="300×200 pixels"):
        decode_image(data, max_pixels=59_999)
    assert decode_image(data, max_pixels=60_000).size == (300, 200)


def test_large_animated_webp_is_refused_by_its_header() -> None:
    frames = [Image.new("RGB", (300, 200), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidImage, match="300×200 pixels"):
        decode_image(data, max_pixels=59_999)


@pytest.mark.filterwarnings("error")
def test_pillow_s_global_limit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for format in ("JPEG", "PNG", "GIF", "BMP"):
        assert decode_image(encoded(halves(), format)).size == (64, 48)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InvalidImage, match="64×48"):
        decode_image(encoded(halves(), "PNG"), max_pixels=100)


def test_cmyk() -> None:
    image = decode_image(encoded(halves().convert("CMYK"), "JPEG", quality=95))
    assert image.mode == "RGB"
    assert near(image, (4, 24), (255, 0, 0), 30)
    assert near(image, (60, 24), (0, 0, 255), 30)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_tones(format: str) -> None:
    values = np.linspace(0, 65535, 64 * 4).astype(np.uint16).reshape(4, 64)
    image = decode_image(encoded(Image.fromarray(values), format))
    assert np.abs(np.asarray(image)[..., 0].astype(float) - values / 257).max() <= 1


def test_colour_of_16_bits() -> None:
    pixel = struct.pack(">HHH", 0xFFFF, 0x8000, 0)
    image = decode_image(png(8, 8, depth=16, colour=2, rows=(b"\0" + pixel * 8) * 8))
    assert near(image, (3, 3), (255, 128, 0), 1)


def test_floating_point_tiff() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    image = decode_image(encoded(Image.fromarray(values), "TIFF"))
    assert image.getpixel((0, 0)) == (0, 0, 0)
    assert image.getpixel((7, 7)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA"])
def test_modes_of_png_and_tiff(mode: str) -> None:
    image = decode_image(encoded(halves().convert(mode), "TIFF" if mode == "PA" else "PNG"))
    assert (image.mode, image.size) == ("RGB", (64, 48))


def test_transparent_turns_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert near(decode_image(encoded(clear, "PNG")), (3, 3), (255, 255, 255))


def test_palette_with_transparency() -> None:
    image = halves().quantize(4)
    transparent = image.getpixel((60, 24))
    decoded = decode_image(encoded(image, "PNG", transparency=transparent))
    assert near(decoded, (4, 24), (255, 0, 0))
    assert near(decoded, (60, 24), (255, 255, 255))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    assert near(decode_image(data), (9, 9), (255, 0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation(format: str, orientation: int) -> None:
    upright = halves()
    turned = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    image = decode_image(encoded(turned, format, exif=exif, **options))
    assert image.size == (64, 48)
    assert near(image, (4, 24), (255, 0, 0))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_refuse_the_picture() -> None:
    data = encoded(halves(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff nonsense")
    assert decode_image(data).size == (64, 48)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_tiny_and_elongated(size: tuple[int, int]) -> None:
    spec = ImageSpec(size=16, mean=(0.5,) * 3, std=(0.5,) * 3, views=("squash", "crop", "start", "end"))
    pixels = to_pixels(decode_image(encoded(Image.new("RGB", size, "white"), "PNG")), spec)
    assert pixels.shape == (3, 64, 16)
    assert np.allclose(pixels, 1)


def test_draft_decodes_large_jpegs_small_but_not_too_small() -> None:
    data = encoded(halves(2048, 1024), "JPEG")
    image = decode_image(data, draft=260)
    assert image.size == (1024, 512)
    assert near(image, (10, 10), (255, 0, 0))
    assert decode_image(encoded(halves(), "PNG"), draft=8).size == (64, 48)


def test_pixels_are_normalised_views_from_top_to_bottom() -> None:
    spec = ImageSpec(size=8, mean=(0.5, 0.5, 0.0), std=(0.25, 0.5, 1.0), views=("start", "end", "squash"))
    pixels = to_pixels(halves(64, 16), spec)
    assert (pixels.dtype, pixels.shape) == (np.float32, (3, 24, 8))
    assert np.allclose(pixels[:, 0, 0], [2, -1, 0])  # red, at the start
    assert np.allclose(pixels[:, 8, 0], [-2, -1, 1])  # blue, at the end
    assert np.allclose(pixels[:, 16, [0, 7]].T, [[2, -1, 0], [-2, -1, 1]])


def test_unknown_view() -> None:
    with pytest.raises(ValueError, match="unknown views"):
        ImageSpec.from_manifest({"size": 8, "mean": [0] * 3, "std": [1] * 3, "views": ["mosaic"]})
