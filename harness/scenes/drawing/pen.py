"""A pen that draws one object: on twice the pixels, in unit coordinates, with its outline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw

from harness.scenes.drawing.palette import RGB, Paint, Tone, luminance, shaded
from harness.scenes.vocabulary import Pattern

__all__ = ["SUPER", "Pen", "Sprite", "bezier"]

SUPER = 2
"""Drawn pixels per pixel of the picture, across and down."""
_SPACE = 2
"""Pixels around an object for its outline."""
Point = tuple[float, float]
Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawn object: colours, and how much of each pixel it covers."""

    colours: Image.Image
    """Mode RGB."""
    cover: Image.Image
    """Mode L, of the same size."""
    space: int
    """Pixels that the sprite extends beyond the object on each side."""


def bezier(a: Point, b: Point, c: Point, steps: int = 14) -> list[Point]:
    """Points of the quadratic curve from a to c that b pulls."""
    found = []
    for i in range(steps + 1):
        t = i / steps
        u = 1 - t
        x, y = (u * u * a[k] + 2 * u * t * b[k] + t * t * c[k] for k in (0, 1))
        found.append((x, y))
    return found


def _pattern(size: tuple[int, int], pattern: Pattern, paint: Paint) -> Image.Image:
    """A sheet of the pattern, of which less than half is the second colour."""
    sheet = Image.new("RGB", size, paint.tones[Tone.BODY])
    pen = ImageDraw.Draw(sheet)
    width, height = size
    period = max(14, round(min(width, height) * 0.2))
    if pattern is Pattern.STRIPED:
        thick = round(period * 0.28)  # of 0.71 periods from stripe to stripe
        for start in range(-height, width, period):
            pen.line([(start, height), (start + height, 0)], fill=paint.second, width=thick)
    elif pattern is Pattern.DOTTED:
        radius = period * 0.29
        for row, y in enumerate(range(period // 2, height + period, period)):
            for x in range(0 if row % 2 else period // 2, width + period, period):
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint.second)
    else:
        half = period * 0.68
        for row in range(int(height / half) + 1):
            for column in range(row % 2, int(width / half) + 1, 2):
                left, top = (column + 0.1) * half, (row + 0.1) * half
                pen.rectangle((left, top, left + 0.8 * half, top + 0.8 * half), fill=paint.second)
    return sheet


@dataclass(slots=True)
class Pen:
    """Collects the parts of one object. Coordinates go from 0 to 1 across and down the object."""

    width: int
    """Of the object, in pixels of the picture."""
    height: int
    paint: Paint
    pattern: Pattern = Pattern.SOLID
    _colours: Image.Image = field(init=False)
    _cover: Image.Image = field(init=False)
    _on: ImageDraw.ImageDraw = field(init=False)
    _over: ImageDraw.ImageDraw = field(init=False)
    _sheet: Image.Image | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        size = ((self.width + 2 * _SPACE) * SUPER, (self.height + 2 * _SPACE) * SUPER)
        self._colours = Image.new("RGB", size, self._edge())
        self._cover = Image.new("L", size, 0)
        self._on, self._over = ImageDraw.Draw(self._colours), ImageDraw.Draw(self._cover)
        if self.pattern is not Pattern.SOLID:
            self._sheet = _pattern(size, self.pattern, self.paint)

    def _edge(self) -> RGB:
        body = self.paint.tones[Tone.PLAIN]
        return (120, 120, 126) if luminance(body) < 50 else shaded(body, 0.4)

    def _point(self, x: float, y: float) -> Point:
        return (x * self.width + _SPACE) * SUPER, (y * self.height + _SPACE) * SUPER

    def _corners(self, corners: Corners) -> Corners:
        return *self._point(corners[0], corners[1]), *self._point(corners[2], corners[3])

    def _thick(self, share: float) -> int:
        return max(2, round(share * min(self.width, self.height) * SUPER))

    def polygon(self, points: Sequence[Point], tone: Tone = Tone.BODY) -> None:
        """Fill a polygon."""
        at = [self._point(x, y) for x, y in points]
        self._over.polygon(at, fill=255)
        if (mask := self._mask(tone)) is None:
            self._on.polygon(at, fill=self.paint.tones[tone])
        else:
            ImageDraw.Draw(mask).polygon(at, fill=255)
            self._spread(mask)

    def oval(self, corners: Corners, tone: Tone = Tone.BODY) -> None:
        """Fill an ellipse."""
        at = self._corners(corners)
        self._over.ellipse(at, fill=255)
        if (mask := self._mask(tone)) is None:
            self._on.ellipse(at, fill=self.paint.tones[tone])
        else:
            ImageDraw.Draw(mask).ellipse(at, fill=255)
            self._spread(mask)

    def block(self, corners: Corners, tone: Tone = Tone.BODY, round_by: float = 0.0) -> None:
        """Fill a rectangle whose corners are rounded by a share of the object's shorter side."""
        at = self._corners(corners)
        radius = round_by * min(self.width, self.height) * SUPER
        self._over.rounded_rectangle(at, radius, fill=255)
        if (mask := self._mask(tone)) is None:
            self._on.rounded_rectangle(at, radius, fill=self.paint.tones[tone])
        else:
            ImageDraw.Draw(mask).rounded_rectangle(at, radius, fill=255)
            self._spread(mask)

    def line(self, points: Sequence[Point], thick: float, tone: Tone = Tone.DARK) -> None:
        """Draw a line, as thick as a share of the object's shorter side."""
        at = [self._point(x, y) for x, y in points]
        width = self._thick(thick)
        self._over.line(at, fill=255, width=width, joint="curve")
        self._on.line(at, fill=self.paint.tones[tone], width=width, joint="curve")

    def arc(self, corners: Corners, start: float, end: float, thick: float, tone: Tone = Tone.DARK) -> None:
        """Draw a piece of an ellipse, clockwise in degrees from three o'clock."""
        at = self._corners(corners)
        width = self._thick(thick)
        self._over.arc(at, start, end, fill=255, width=width)
        self._on.arc(at, start, end, fill=self.paint.tones[tone], width=width)

    def slice(self, corners: Corners, start: float, end: float, tone: Tone = Tone.BODY) -> None:
        """Fill what lies between a piece of an ellipse and its chord."""
        at = self._corners(corners)
        self._over.chord(at, start, end, fill=255)
        if (mask := self._mask(tone)) is None:
            self._on.chord(at, start, end, fill=self.paint.tones[tone])
        else:
            ImageDraw.Draw(mask).chord(at, start, end, fill=255)
            self._spread(mask)

    def _mask(self, tone: Tone) -> Image.Image | None:
        return Image.new("L", self._colours.size, 0) if tone is Tone.BODY and self._sheet is not None else None

    def _spread(self, mask: Image.Image) -> None:
        if self._sheet is not None:
            self._colours.paste(self._sheet, None, mask)

    def sprite(self) -> Sprite:
        """What was drawn, with an outline of about a pixel."""
        cover = self._cover
        for dx, dy in ((SUPER, 0), (-SUPER, 0), (0, SUPER), (0, -SUPER)):
            cover = ImageChops.lighter(cover, ImageChops.offset(self._cover, dx, dy))
        return Sprite(self._colours.reduce(SUPER), cover.reduce(SUPER), _SPACE)
