"""Opening images: the same upright RGB page from every form, and an ImageError for everything else."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, PngImagePlugin
from PIL.PngImagePlugin import PngImageFile

from harness.documents.images import MAX_PIXELS, open_image
from harness.errors import ImageAccessError, ImageError

SUFFIXES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WEBP": "webp"}


def page() -> Image.Image:
    """A 24 x 16 page whose corners differ: red, green, blue, white quadrants."""
    image = Image.new("RGB", (24, 16), "white")
    image.paste("red", (0, 0, 12, 8))
    image.paste("green", (12, 0, 24, 8))
    image.paste("blue", (0, 8, 12, 16))
    return image


def encoded(image: Image.Image, encoding: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, encoding, **options)
    return buffer.getvalue()


def difference(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any channel of any pixel."""
    assert (one.size, one.mode) == (other.size, other.mode)
    return max(high for _, high in ImageChops.difference(one, other).getextrema())


LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "TIFF": {},
    "WEBP": {"lossless": True, "exact": True},
}


@pytest.mark.parametrize("encoding", SUFFIXES)
def test_each_format_is_read_whatever_its_name_says(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.dat"
    path.write_bytes(encoded(page(), encoding, **LOSSLESS[encoding]))
    image = open_image(path)
    assert type(image) is Image.Image, "decoded and detached from the file"
    assert difference(image, page()) <= (40 if encoding == "JPEG" else 0)


@pytest.mark.parametrize("encoding", SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright(encoding: str, orientation: int, tmp_path: Path) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = page().transpose(undo[orientation]) if orientation in undo else page()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    path.write_bytes(encoded(stored, encoding, exif=exif, **LOSSLESS[encoding]))
    image = open_image(path)
    assert difference(image, page()) <= (60 if encoding == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_exif_that_cannot_be_read_turns_nothing(exif: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(page(), "JPEG", exif=exif))
    assert open_image(path).size == (24, 16)


def grey16() -> Image.Image:
    return Image.frombytes("I;16", (3, 1), struct.pack("<3H", 0, 0x8000, 0xFFFF))


def palette_with_transparency() -> bytes:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 128, 0])
    image.putdata([0, 1, 2])
    return encoded(image, "PNG", transparency=1)


def pixels(mode: str, *values: object) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(grey16(), "PNG"), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        (encoded(grey16(), "TIFF"), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        (encoded(pixels("1", 0, 255), "PNG"), [(0, 0, 0), (255, 255, 255)]),
        (encoded(pixels("1", 0, 255), "TIFF", compression="group4"), [(0, 0, 0), (255, 255, 255)]),
        (encoded(pixels("L", 7, 200), "PNG"), [(7, 7, 7), (200, 200, 200)]),
        (
            encoded(pixels("LA", (0, 0), (0, 255), (0, 128)), "PNG"),
            [(255, 255, 255), (0, 0, 0), (127, 127, 127)],
        ),
        (encoded(pixels("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)), "PNG"), [(255, 0, 0), (255, 255, 255)]),
        (
            encoded(pixels("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)), "WEBP", lossless=True),
            [(255, 0, 0), (255, 255, 255)],
        ),
        (encoded(pixels("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)), "TIFF"), [(255, 0, 0), (255, 255, 255)]),
        (encoded(pixels("L", 7, 200), "PNG", transparency=7), [(255, 255, 255), (200, 200, 200)]),
        (palette_with_transparency(), [(255, 0, 0), (255, 255, 255), (0, 128, 0)]),
        (encoded(pixels("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), "TIFF"), [(255, 255, 255), (0, 0, 0)]),
        (encoded(Image.new("CMYK", (1, 1), (0, 0, 0, 255)), "JPEG", quality=100), [(0, 0, 0)]),
    ],
)
def test_every_pixel_form_becomes_rgb_over_white(content: bytes, expected: list[object], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    image = open_image(path)
    assert image.mode == "RGB"
    assert [image.getpixel((x, 0)) for x in range(image.width)] == expected


def test_the_main_picture_of_a_multi_picture_jpeg_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    page().save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert open_image(path).size == (24, 16)


def pages(encoding: str) -> bytes:
    return encoded(page(), encoding, save_all=True, append_images=[Image.new("RGB", (24, 16), "black")])


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to no data behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def huge_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 70_000_000, zip=True)
    return encoded(page(), "PNG", pnginfo=info)


def huge_profile() -> bytes:
    return encoded(page(), "PNG", icc_profile=b"\0" * 70_000_000)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(lambda: b"", "empty .0 bytes.", id="empty"),
        pytest.param(lambda: b"hello, I am a text file", "not a PNG, JPEG, TIFF or WebP", id="text"),
        pytest.param(lambda: encoded(page(), "PDF"), "a PDF; render", id="pdf"),
        pytest.param(lambda: encoded(page(), "GIF"), "a GIF; convert", id="gif"),
        pytest.param(lambda: encoded(page(), "BMP"), "a BMP; convert", id="bmp"),
        pytest.param(lambda: b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC", id="heic"),
        pytest.param(lambda: pages("TIFF"), "several pages", id="tiff-pages"),
        pytest.param(lambda: pages("PNG"), "animated", id="apng"),
        pytest.param(lambda: pages("WEBP"), "animated", id="animated-webp"),
        pytest.param(lambda: bomb(9_000, 9_000), "9000 x 9000 pixels, more than", id="over-the-limit"),
        pytest.param(lambda: bomb(10_000, 10_000), "10000 x 10000 pixels, more than", id="pillow-warns"),
        pytest.param(lambda: bomb(60_000, 60_000), "3600000000 pixels.*scale it down", id="pillow-refuses"),
        pytest.param(lambda: bomb(8_000, 8_000), "truncated or corrupt", id="hollow"),
        pytest.param(huge_text, "corrupt .*too large", id="text-bomb"),
        pytest.param(huge_profile, "corrupt .*too large", id="profile-bomb"),
        pytest.param(lambda: encoded(pixels("I", 1, 70000), "TIFF"), "32 bits a pixel", id="32-bit"),
        pytest.param(lambda: encoded(pixels("F", 0.5), "TIFF"), "32 bits a pixel", id="float"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    content: Callable[[], bytes], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(content())
    with pytest.raises(ImageError, match=says) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", SUFFIXES)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_refused(encoding: str, part: float, tmp_path: Path) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    content = encoded(noise, encoding)
    path = tmp_path / "cut"
    path.write_bytes(content[: max(1, int(len(content) * part))])
    with pytest.raises(ImageError):
        open_image(path)


def test_missing_and_special_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "missing.png", tmp_path, pipe, Path("null\0byte.png"), tmp_path / ("x" * 300)):
        with pytest.raises(ImageError):
            open_image(path)


def test_what_says_nothing_about_the_image_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageAccessError, match="no such image file"):
        open_image(tmp_path / "missing.png")
    path = tmp_path / "large.png"
    path.write_bytes(encoded(page(), "PNG"))

    def exhausted(self: Image.Image) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(PngImageFile, "load", exhausted)
        with pytest.raises(ImageAccessError, match="not enough memory"):
            open_image(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert not isinstance(caught.value, ImageAccessError), "a fault of the image"


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded(page(), "PNG"))

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(ImageError, match="cannot be read: Permission denied"):
        open_image(path)


def test_the_limit_is_checked_before_decoding_and_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(encoded(page(), "PNG"))
    assert open_image(path, max_pixels=24 * 16).size == (24, 16)
    with pytest.raises(ImageError, match="24 x 16 pixels, more than the limit of 383"):
        open_image(path, max_pixels=24 * 16 - 1)
    assert MAX_PIXELS == 80_000_000


SEEDS = {
    **{encoding: encoded(page(), encoding) for encoding in SUFFIXES},
    "palette": palette_with_transparency(),
    "grey16": encoded(grey16(), "PNG"),
    "lzw": encoded(page(), "TIFF", compression="tiff_lzw"),
    "group4": encoded(page().convert("1"), "TIFF", compression="group4"),
    "exif": encoded(page(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
    "apng": pages("PNG"),
    "pages": pages("TIFF"),
    "animation": pages("WEBP"),
}


def opened_or_refused(path: Path) -> bool:
    """Whether the file gives RGB pixels within the limit, or an ImageError that names it. Others propagate."""
    try:
        image = open_image(path)
    except ImageError as error:
        return str(path) in str(error)
    return image.mode == "RGB" and image.width * image.height <= MAX_PIXELS


SMALL = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SMALL
@given(
    seed=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 5000),
)
def test_damaged_files_open_or_raise_image_error(
    seed: str, changes: list[tuple[int, int]], cut: int | None, tmp_path: Path
) -> None:
    content = bytearray(SEEDS[seed])
    for position, value in changes:
        content[position % len(content)] = value
    path = tmp_path / "damaged"
    path.write_bytes(content[:cut] if cut else content)
    assert opened_or_refused(path)


@SMALL
@given(
    head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"RIFF\xff\0\0\0WEBPVP8 "]),
    rest=st.binary(max_size=300),
)
def test_arbitrary_bytes_open_or_raise_image_error(head: bytes, rest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(head + rest)
    assert opened_or_refused(path)
