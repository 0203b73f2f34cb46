"""Opening image files that may be anything: upright RGB pixels, or an ImageError that says what to do."""

from __future__ import annotations

import stat
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.errors import ImageAccessError, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "MAX_PIXELS", "open_image"]

MAX_PIXELS = 80_000_000
"""Largest image that is decoded: an A4 page at 900 dpi; 320 MB of memory."""

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "PNG": "PIL.PngImagePlugin",
        "JPEG": "PIL.JpegImagePlugin",
        "TIFF": "PIL.TiffImagePlugin",
        "WEBP": "PIL.WebPImagePlugin",
    }
)
"""The formats that are read, by Pillow's name, and the plugin of each."""

# Content that is no supported image, by its first bytes (offset, signature), and what to do about it.
_OTHERS = (
    (0, b"%PDF", "a PDF; render each page to a PNG"),
    (0, b"GIF8", "a GIF; convert it to PNG"),
    (0, b"BM", "a BMP; convert it to PNG"),
    (4, b"ftyp", "a HEIC or AVIF picture; convert it to PNG or JPEG"),
)
_SIXTEEN_BIT = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_ORIENTATION = 0x0112  # Exif 2.32, table 4


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode `path` whole and return it in mode RGB, turned upright by its EXIF orientation.

    PNG, JPEG, TIFF and WebP, told by content whatever the name. Transparency is laid over white; 16-bit greys
    keep their upper 8 bits; of a multi-picture JPEG, as phones write, the main picture is taken. The size is
    checked against `max_pixels` before any pixel is decoded.

    Raises ImageError, and nothing else, whatever the file may hold: empty, truncated, corrupt, of another format, with
    several pages or frames, or too large; ImageAccessError where that is not known: missing, or out of memory.
    """
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    _check_file(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # odd metadata is no matter; the size is checked below
            with pillow.open(file, formats=tuple(FORMATS)) as image:
                _check_header(path, image, max_pixels)
                image.load()
                return _upright(_to_rgb(path, image), _orientation(image))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {_what_instead(path)}") from error
    except pillow.DecompressionBombError as error:
        raise ImageError(_too_large(path, str(error), max_pixels)) from error
    except OSError as error:
        if error.errno is not None:
            raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from error
        raise ImageError(_corrupt(path, error)) from error
    except MemoryError as error:
        raise ImageAccessError(f"{path}: there is not enough memory to decode it") from error
    except Exception as error:  # decoders raise whatever a corrupt file makes them stumble over
        raise ImageError(_corrupt(path, error)) from error


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageAccessError(f"{path}: no such image file; check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: not a regular file; name an image file")
    if status.st_size == 0:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or export it again")


def _check_header(path: Path, image: Image, max_pixels: int) -> None:
    """Refuse before decoding what is too large or has several pages."""
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(_too_large(path, f"{width} x {height} pixels", max_pixels))
    if image.format == "TIFF":
        try:  # not n_frames, which would walk every page of a file that may have millions
            image.seek(1)
        except EOFError:
            image.seek(0)
        else:
            raise ImageError(f"{path}: a TIFF of several pages; save each page as a file of its own")
    elif image.format in FORMATS and getattr(image, "n_frames", 1) > 1:
        raise ImageError(f"{path}: an animated image; save the one frame that shows the document")


def _to_rgb(path: Path, image: Image) -> Image:
    from PIL import Image as pillow

    if image.mode in _SIXTEEN_BIT:  # Pillow's own conversion would clip, not scale
        return image.convert("I").point(lambda level: level * (1 / 256)).convert("L").convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageError(f"{path}: 32 bits a pixel, whose scale is unknown; save it as 8-bit grey or RGB")
    if image.has_transparency_data:
        page = pillow.new("RGBA", image.size, "white")
        page.alpha_composite(image.convert("RGBA"))
        return page.convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1..8; 1 where EXIF says nothing that can be read, as in every viewer."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (
        SyntaxError,
        struct.error,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        OSError,
        ZeroDivisionError,
    ):
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image, orientation: int) -> Image:
    # Not ImageOps.exif_transpose: it writes the EXIF block anew, and fails on some that can only be read.
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _what_instead(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    for offset, signature, advice in _OTHERS:
        if head[offset:].startswith(signature):
            return advice
    return "not a PNG, JPEG, TIFF or WebP image, or its header is damaged; export it again"


def _too_large(path: Path, size: str, max_pixels: int) -> str:
    return f"{path}: {size}, more than the limit of {max_pixels} pixels; scale it down"


def _corrupt(path: Path, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{path}: the image is truncated or corrupt ({reason}); export it again"
