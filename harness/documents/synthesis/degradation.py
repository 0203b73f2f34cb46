"""What a scanner or a phone does to a page. Every step draws from the document's own generators.

Noise is summed from random bytes and fields are scaled up from a few random bytes, so that no step depends on how a
processor rounds exponentials or sines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from harness.documents.synthesis.geometry import Homography, Point, rotated

__all__ = ["Degraded", "Stratum", "degrade"]

Field = NDArray[np.float32]
_TABLES = ((92, 74, 58), (128, 118, 108), (58, 60, 66), (150, 128, 100), (176, 174, 170))


class Stratum(StrEnum):
    """How a page became an image."""

    CLEAN = "clean"
    """As rendered, like a PDF saved as an image."""
    SCANNED = "scanned"
    """Grey paper, a slight rotation, blur, speckle, faded ink, JPEG."""
    PHOTOGRAPHED = "photographed"
    """On a table in perspective, with uneven light, a shadow, a colour cast, noise, JPEG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """The finished picture."""

    image: Image.Image
    """Mode P (clean), L (scanned) or RGB (photographed): exactly the pixels that a reader of the file sees."""
    transform: Homography
    """From page pixels to image pixels."""
    jpeg: bytes | None
    """The file, where it is a JPEG."""


def degrade(page: Image.Image, stratum: Stratum, rng: Random, noise: np.random.Generator) -> Degraded:
    """Turn a rendered page (RGB) into a picture of `stratum`."""
    if stratum is Stratum.CLEAN:
        palette = page.quantize(32, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        return Degraded(image=palette, transform=Homography(), jpeg=None)
    if stratum is Stratum.SCANNED:
        image, transform = _scan(page, rng, noise)
        return _as_jpeg(image, transform, rng.randint(36, 68))
    image, transform = _photograph(page, rng, noise)
    return _as_jpeg(image, transform, rng.randint(36, 66))


def _as_jpeg(image: Image.Image, transform: Homography, quality: int) -> Degraded:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    decoded = Image.open(BytesIO(buffer.getvalue()))
    decoded.load()
    return Degraded(image=decoded, transform=transform, jpeg=buffer.getvalue())


def _corners(width: float, height: float) -> list[Point]:
    return [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]


def _warp(image: Image.Image, inverse: Homography, size: tuple[int, int], fill: int | tuple[int, ...]) -> Image.Image:
    # bilinear: half the time of bicubic, and a little softer, as a lens is
    return image.transform(
        size, Image.Transform.PERSPECTIVE, inverse.coefficients, Image.Resampling.BILINEAR, fillcolor=fill
    )


def _low_frequency(size: tuple[int, int], noise: np.random.Generator, low: float, high: float) -> Field:
    """A smooth random field of shape (height, width) between about `low` and `high`."""
    seeds = noise.integers(0, 256, size=(5, 4), dtype=np.uint8)
    smooth = Image.fromarray(seeds).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32) * np.float32((high - low) / 255) + np.float32(low)


def _grain(shape: tuple[int, ...], noise: np.random.Generator, strength: float) -> Field:
    """Noise of zero mean with a triangular distribution, standard deviation about `strength` grey levels."""
    a = noise.integers(0, 256, size=shape, dtype=np.uint8).astype(np.float32)
    b = noise.integers(0, 256, size=shape, dtype=np.uint8).astype(np.float32)
    return (a - b) * np.float32(strength / 104.5)


def _to_image(values: Field) -> Image.Image:
    return Image.fromarray(np.clip(values + np.float32(0.5), 0, 255).astype(np.uint8))


def _scan(page: Image.Image, rng: Random, noise: np.random.Generator) -> tuple[Image.Image, Homography]:
    width, height = page.size
    corners = _corners(width, height)
    turned = rotated(corners, rng.uniform(-1.2, 1.2))
    grey = _warp(page.convert("L"), Homography.between(turned, corners), page.size, 255)
    grey = grey.filter(ImageFilter.GaussianBlur(rng.uniform(0.15, 0.95)))
    paper = _low_frequency(page.size, noise, rng.uniform(222, 238), rng.uniform(240, 253))
    worn = 60 if rng.random() < 0.2 else 0
    ink = _low_frequency(page.size, noise, rng.uniform(5, 40) + worn, rng.uniform(40, 105) + worn)  # faded in places
    cover = np.float32(1) - np.asarray(grey, dtype=np.float32) / np.float32(255)
    values = paper - cover * (paper - ink)
    if rng.random() < 0.4:  # the shadow of the lid along one side
        edge = np.linspace(1, 0, width, dtype=np.float32) ** 8
        values -= (edge if rng.random() < 0.5 else edge[::-1]) * np.float32(rng.uniform(20, 70))
    values += _grain((height, width), noise, rng.uniform(0.8, 4.0))
    _speckle(values, rng, noise)
    return _to_image(values), Homography.between(corners, turned)


def _speckle(values: Field, rng: Random, noise: np.random.Generator) -> None:
    """Dust: dots of one or two pixels, mostly dark; now and then a streak down the page."""
    height, width = values.shape
    count = round(width * height / 100000 * rng.uniform(0, 12))
    ys, xs = noise.integers(0, height - 1, size=count), noise.integers(0, width - 1, size=count)
    levels = np.where(noise.integers(0, 4, size=count) > 0, np.float32(110), np.float32(255))
    for dy, dx in ((0, 0), (0, 1)) if rng.random() < 0.5 else ((0, 0),):
        values[ys + dy, xs + dx] = levels
    if rng.random() < 0.15:
        values[:, rng.randrange(width)] -= np.float32(rng.uniform(12, 40))


def _quad(page: tuple[int, int], rng: Random) -> tuple[list[Point], tuple[int, int]]:
    """Where the corners of a page lie in a photograph, and the size of that photograph."""
    width, height = page
    lean = 0.016 * width
    quad = [(x + rng.uniform(-lean, lean), y + rng.uniform(-lean, lean)) for x, y in _corners(width, height)]
    quad = rotated(quad, rng.uniform(-2.6, 2.6))
    margin = rng.uniform(0.01, 0.04) * width
    left, top = min(x for x, _ in quad) - margin, min(y for _, y in quad) - margin
    quad = [(x - left, y - top) for x, y in quad]
    return quad, (round(max(x for x, _ in quad) + margin), round(max(y for _, y in quad) + margin))


def _photograph(page: Image.Image, rng: Random, noise: np.random.Generator) -> tuple[Image.Image, Homography]:
    corners = _corners(*page.size)
    quad, size = _quad(page.size, rng)
    paper = _warp(page, Homography.between(quad, corners), size, (255, 255, 255))
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon(quad, fill=255)
    table = rng.choice(_TABLES)
    grain = noise.integers(200, 256, size=(6, 5, 1), dtype=np.uint16) * np.asarray(table, dtype=np.uint16) // 255
    desk = Image.fromarray(grain.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    picture = Image.composite(paper, desk, mask).filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.0)))
    light = _light(size, rng)
    specks = _grain((size[1], size[0]), noise, rng.uniform(1.0, 4.5))
    bands = []
    for band, cast in zip(
        picture.split(), (rng.uniform(0.93, 1.03), rng.uniform(0.94, 1.0), rng.uniform(0.82, 1.0)), strict=True
    ):
        level = light * np.float32(cast)
        values = np.asarray(band, dtype=np.float32) * (level * np.float32(0.93))
        values += level * np.float32(9)  # ink is never black
        values += specks
        bands.append(_to_image(values))
    return Image.merge("RGB", bands), Homography.between(corners, quad)


def _light(size: tuple[int, int], rng: Random) -> Field:
    """Brightness over the picture, in about 0.5 to 1.05: a gradient, a vignette, the soft shadow of a hand or phone."""
    width, height = size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope = np.float32(rng.uniform(0.02, 0.12))
    light = np.float32(0.97) + slope * (x * np.float32(rng.uniform(-1, 1)) + y * np.float32(rng.uniform(-1, 1)))
    light = light - np.float32(rng.uniform(0.02, 0.1)) * (x * x + y * y)
    if rng.random() < 0.7:
        shadow = Image.new("L", (96, 96), 0)
        edge = [(rng.uniform(-20, 116), rng.uniform(-20, 116)) for _ in range(2)]
        side = rng.choice(((-60.0, -60.0), (156.0, -60.0), (156.0, 156.0), (-60.0, 156.0)))
        ImageDraw.Draw(shadow).polygon([*edge, side], fill=255)
        soft = shadow.filter(ImageFilter.GaussianBlur(rng.uniform(3, 9))).resize(size, Image.Resampling.BICUBIC)
        light = light * (1 - np.float32(rng.uniform(0.12, 0.4) / 255) * np.asarray(soft, dtype=np.float32))
    return np.asarray(light, dtype=np.float32)
