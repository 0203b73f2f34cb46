"""What is behind the objects: six settings by day, at sunset and at night, in pale colours that no object has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from harness.scenes.drawing.palette import RGB, shaded
from harness.scenes.vocabulary import Light, Setting

__all__ = ["BANDS", "BOARDS", "Bands", "backdrop"]

_SUPER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Where things can be, as shares of the height of the picture."""

    back: float
    """The row in which the farthest things stand."""
    front: float
    """The row in which the nearest things stand."""
    air: tuple[float, float] | None = None
    """Between which rows things fly, by their middles."""
    wall: tuple[float, float] | None = None
    """Between which rows things hang, by their middles."""
    water: tuple[float, float] | None = None
    """Between which rows things float."""


BANDS: Mapping[Setting, Bands] = MappingProxyType(
    {
        Setting.KITCHEN: Bands(back=0.6, front=0.95, air=(0.16, 0.3), wall=(0.14, 0.26)),
        Setting.STREET: Bands(back=0.62, front=0.96, air=(0.14, 0.28)),
        Setting.SHELF: Bands(back=0.0, front=0.0),
        Setting.DESK: Bands(back=0.6, front=0.95, air=(0.16, 0.3), wall=(0.14, 0.26)),
        Setting.PARK: Bands(back=0.58, front=0.96, air=(0.15, 0.28)),
        Setting.SEA: Bands(back=0.78, front=0.97, air=(0.14, 0.24), water=(0.52, 0.66)),
    }
)
BOARDS: Mapping[int, tuple[float, ...]] = MappingProxyType({2: (0.46, 0.92), 3: (0.32, 0.63, 0.94)})
"""Rows of the boards of a shelf, by how many there are."""

_SKY: Mapping[Light, tuple[RGB, RGB]] = MappingProxyType(
    {
        Light.DAY: ((150, 205, 240), (226, 242, 250)),
        Light.SUNSET: ((238, 148, 116), (253, 216, 160)),
        Light.NIGHT: ((22, 28, 62), (58, 66, 110)),
    }
)
_DIM: Mapping[Light, tuple[float, float, float]] = MappingProxyType(
    {Light.DAY: (1.0, 1.0, 1.0), Light.SUNSET: (1.0, 0.9, 0.8), Light.NIGHT: (0.5, 0.53, 0.66)}
)


@dataclass(slots=True)
class _Canvas:
    """A picture under way, in unit coordinates."""

    image: Image.Image
    light: Light
    rng: np.random.Generator
    window_left: bool

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    @property
    def side(self) -> int:
        return self.image.width

    def dim(self, colour: RGB, by: float = 1.0) -> RGB:
        """As the light shows it; `by` below 1 leaves more of it."""
        factors = _DIM[self.light]
        return tuple(round(c * (1 - by + by * f)) for c, f in zip(colour, factors, strict=True))  # type: ignore[return-value]

    def block(self, left: float, top: float, right: float, bottom: float, colour: RGB, round_by: float = 0.0) -> None:
        at = tuple(round(v * self.side) for v in (left, top, right, bottom))
        if round_by:
            self.pen.rounded_rectangle(at, round_by * self.side, fill=colour)
        else:
            self.pen.rectangle(at, fill=colour)

    def oval(self, x: float, y: float, across: float, down: float, colour: RGB) -> None:
        s = self.side
        self.pen.ellipse(((x - across) * s, (y - down) * s, (x + across) * s, (y + down) * s), fill=colour)

    def polygon(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self.pen.polygon([(x * self.side, y * self.side) for x, y in points], fill=colour)

    def line(self, points: list[tuple[float, float]], thick: float, colour: RGB) -> None:
        self.pen.line([(x * self.side, y * self.side) for x, y in points], colour, max(1, round(thick * self.side)))

    def fade(self, box: tuple[float, float, float, float], top: RGB, bottom: RGB) -> None:
        """Fill a box from one colour down to another."""
        left, up, right, down = (round(v * self.side) for v in box)
        rows = np.linspace(0.0, 1.0, 16)[:, None]
        column = (np.array(top) * (1 - rows) + np.array(bottom) * rows).round().astype(np.uint8)
        strip = Image.fromarray(column[:, None, :]).resize((1, max(1, down - up)), Image.Resampling.BILINEAR)
        self.image.paste(strip.resize((max(1, right - left), max(1, down - up)), Image.Resampling.NEAREST), (left, up))

    def sky(self, box: tuple[float, float, float, float], size: float) -> None:
        """The sky with what shines in it, about `size` large."""
        left, top, right, bottom = box
        self.fade(box, *_SKY[self.light])
        x = left + (right - left) * self.rng.uniform(0.2, 0.8)
        y = top + (bottom - top) * (0.46 if self.light is Light.SUNSET else self.rng.uniform(0.22, 0.35))
        if self.light is Light.NIGHT:
            for sx, sy in self.rng.random((14, 2)).tolist():
                self.oval(
                    left + (right - left) * (0.04 + 0.92 * sx),
                    top + (bottom - top) * (0.05 + 0.7 * sy),
                    0.0035,
                    0.0035,
                    (236, 238, 216),
                )
            self.oval(x, y, size, size, (244, 240, 208))
            self.oval(x + size * 0.45, y - size * 0.2, size * 0.85, size * 0.85, (30, 36, 72))
        else:
            glow = (255, 244, 190) if self.light is Light.DAY else (255, 190, 110)
            self.oval(x, y, size * 1.25, size * 1.25, glow)
            self.oval(x, y, size, size, (255, 228, 110) if self.light is Light.DAY else (250, 128, 72))

    def cloud(self, x: float, y: float, size: float) -> None:
        colour = self.dim((250, 252, 253) if self.light is not Light.NIGHT else (120, 128, 160))
        for dx, dy, r in ((-0.7, 0.1, 0.5), (0.0, -0.15, 0.7), (0.75, 0.1, 0.5)):
            self.oval(x + dx * size, y + dy * size, r * size, r * size * 0.6, colour)
        self.block(x - size, y + 0.1 * size, x + size, y + 0.38 * size, colour, 0.14 * size)

    def window(self, bottom: float) -> None:
        """A window at the left or the right, from near the top of the picture down to `bottom`."""
        left = float(self.rng.uniform(0.06, 0.16) if self.window_left else self.rng.uniform(0.62, 0.7))
        top, right = 0.05, left + 0.22
        frame = self.dim((250, 250, 247), 0.6)
        self.block(left - 0.016, top - 0.016, right + 0.016, bottom + 0.016, frame)
        self.sky((left, top, right, bottom), 0.026)
        middle = (left + right) / 2
        self.block(middle - 0.005, top, middle + 0.005, bottom, frame)
        self.block(left - 0.028, bottom + 0.014, right + 0.028, bottom + 0.032, self.dim((226, 222, 214), 0.6))


def _cupboard(c: _Canvas) -> None:
    """A wall cupboard in the corner away from the window, a rail of tools under it, and a tap."""
    left = 0.84 if c.window_left else -0.02
    door, edge, metal = c.dim((240, 236, 226)), c.dim((208, 200, 186)), c.dim((164, 172, 178))
    for x in (left, left + 0.09):
        c.block(x, -0.01, x + 0.088, 0.25, edge)
        c.block(x + 0.012, 0.0, x + 0.076, 0.235, door)
    c.block(left + 0.074, 0.17, left + 0.082, 0.21, metal)
    c.block(left + 0.096, 0.17, left + 0.104, 0.21, metal)
    rail = 0.66 if c.window_left else 0.08
    c.block(rail, 0.325, rail + 0.26, 0.331, metal)
    for i, r in enumerate((0.022, 0.03, 0.018)):
        x = rail + 0.05 + i * 0.08
        c.block(x - 0.004, 0.33, x + 0.004, 0.41, metal)
        c.oval(x, 0.41 + r, r, r, metal)
    tap = 0.22 if c.window_left else 0.76
    c.block(tap, 0.4, tap + 0.014, 0.545, metal)
    c.block(tap, 0.4, tap + 0.07, 0.414, metal, 0.006)
    c.block(tap + 0.058, 0.4, tap + 0.07, 0.44, metal)
    c.block(tap - 0.03, 0.535, tap + 0.044, 0.55, metal, 0.006)


def _monitor(c: _Canvas) -> None:
    """A monitor at the back of the desk, and notes on a board."""
    frame, screen = c.dim((104, 110, 120)), c.dim((206, 220, 232), 0.5)
    x = 0.36
    c.block(x + 0.12, 0.5, x + 0.16, 0.57, frame)
    c.block(x + 0.06, 0.565, x + 0.22, 0.58, frame, 0.006)
    c.block(x, 0.31, x + 0.28, 0.515, frame, 0.012)
    c.block(x + 0.012, 0.322, x + 0.268, 0.503, screen)
    for i, end in enumerate((0.16, 0.2, 0.12, 0.18)):
        c.block(x + 0.03, 0.345 + i * 0.035, x + 0.03 + end, 0.353 + i * 0.035, c.dim((158, 176, 194), 0.5))
    board = 0.8 if c.window_left else 0.02
    c.block(board, 0.3, board + 0.18, 0.46, c.dim((196, 166, 124)))
    for dx, dy, note in ((0.02, 0.02, (250, 244, 190)), (0.1, 0.03, (222, 236, 246)), (0.05, 0.09, (246, 224, 230))):
        c.block(board + dx, 0.3 + dy, board + dx + 0.055, 0.3 + dy + 0.05, c.dim(note))


def _kitchen(c: _Canvas) -> None:
    wall, grout = c.dim((226, 232, 228)), c.dim((206, 214, 210))
    c.block(0, 0, 1, 0.55, wall)
    for i in range(1, 6):
        c.line([(0, 0.3 + i * 0.05), (1, 0.3 + i * 0.05)], 0.002, grout)
    for i in range(1, 10):
        c.line([(i * 0.1, 0.3), (i * 0.1, 0.55)], 0.002, grout)
    c.block(0, 0.285, 1, 0.3, grout)
    c.window(0.25)
    _cupboard(c)
    c.fade((0, 0.52, 1, 0.6), c.dim((222, 204, 176)), c.dim((216, 196, 166)))
    c.fade((0, 0.6, 1, 1.0), c.dim((216, 196, 166)), c.dim((206, 184, 152)))
    c.line([(0, 0.522), (1, 0.522)], 0.004, c.dim((190, 170, 140)))


def _desk(c: _Canvas) -> None:
    wall = c.dim(((214, 222, 232), (232, 222, 214), (222, 230, 216))[int(c.rng.integers(3))])
    c.block(0, 0, 1, 0.55, wall)
    c.window(0.29)
    _monitor(c)
    c.fade((0, 0.54, 1, 1), c.dim((206, 176, 138)), c.dim((192, 160, 122)))
    for i, y in enumerate((0.6, 0.69, 0.8, 0.92)):
        c.line([(0, y), (1, y + (0.01 if i % 2 else -0.008))], 0.002, c.dim((182, 150, 112)))
    c.line([(0, 0.541), (1, 0.541)], 0.005, c.dim((168, 136, 100)))


def _street(c: _Canvas) -> None:
    c.sky((0, 0, 1, 0.5), 0.045)
    facades: tuple[RGB, ...] = ((214, 198, 184), (196, 204, 210), (222, 212, 190), (204, 192, 200), (198, 208, 194))
    lit = (250, 226, 150) if c.light is Light.NIGHT else (178, 200, 214)
    x, first = -0.02, int(c.rng.integers(5))
    for i in range(6):
        width, top = float(c.rng.uniform(0.17, 0.25)), float(c.rng.uniform(0.29, 0.37))
        wall = c.dim(facades[(first + i) % 5])
        c.block(x, top, x + width, 0.56, wall)
        c.block(x, top - 0.012, x + width, top + 0.004, shaded(wall, 0.86))
        for row in range(2):
            for column in range(3):
                wx, wy = x + width * (0.14 + 0.27 * column), top + 0.035 + row * 0.075
                if wy < 0.5:
                    c.block(wx, wy, wx + width * 0.16, wy + 0.045, c.dim(lit) if c.light is not Light.NIGHT else lit)
        x += width
    c.block(0, 0.54, 1, 0.64, c.dim((206, 206, 202)))
    for i in range(11):
        c.line([(i * 0.1 + 0.02, 0.54), (i * 0.1 - 0.02, 0.64)], 0.002, c.dim((186, 186, 182)))
    c.block(0, 0.64, 1, 0.656, c.dim((176, 176, 174)))
    c.fade((0, 0.656, 1, 1), c.dim((158, 160, 164)), c.dim((144, 146, 152)))
    for i in range(5):
        c.polygon(
            [(i * 0.24, 0.81), (i * 0.24 + 0.12, 0.81), (i * 0.24 + 0.11, 0.83), (i * 0.24 - 0.012, 0.83)],
            c.dim((226, 226, 218)),
        )


def _shelf(c: _Canvas) -> None:
    wall = ((224, 228, 230), (232, 226, 216), (218, 226, 220))[int(c.rng.integers(3))]
    c.block(0, 0, 1, 1, wall)
    for i in range(1, 8):
        c.line([(i / 8, 0), (i / 8, 1)], 0.002, shaded(wall, 0.95))
    wood: RGB = (198, 164, 124)
    c.block(0, 0, 0.03, 1, shaded(wood, 0.92))
    c.block(0.97, 0, 1, 1, shaded(wood, 0.92))
    c.block(0, 0, 1, 0.025, wood)


def _boards(c: _Canvas, rows: tuple[float, ...]) -> None:
    wood: RGB = (204, 170, 130)
    for y in rows:
        c.block(0.03, y - 0.012, 0.97, y + 0.012, shaded(wood, 1.2))
        c.block(0.0, y + 0.012, 1.0, y + 0.036, shaded(wood, 0.9))
        c.fade((0.03, y + 0.037, 0.97, y + 0.06), (200, 198, 192), (220, 221, 218))


def _park(c: _Canvas) -> None:
    c.sky((0, 0, 1, 0.5), 0.045)
    for i in range(2):
        c.cloud(
            float(c.rng.uniform(0.1, 0.9)),
            float(c.rng.uniform(0.08, 0.24)),
            float(c.rng.uniform(0.05, 0.08)) * (1 - 0.2 * i),
        )
    shift = float(c.rng.uniform(-0.15, 0.15))
    c.oval(0.2 + shift, 0.56, 0.45, 0.16, c.dim((170, 204, 168)))
    c.oval(0.85 + shift, 0.57, 0.5, 0.2, c.dim((180, 212, 172)))
    c.fade((0, 0.5, 1, 1), c.dim((182, 214, 148)), c.dim((160, 198, 128)))
    middle = float(c.rng.uniform(0.3, 0.7))
    c.polygon(
        [(middle - 0.02, 0.5), (middle + 0.02, 0.5), (middle + 0.3, 1.0), (middle - 0.12, 1.0)], c.dim((228, 214, 184))
    )
    for x, y in c.rng.random((16, 2)).tolist():
        gx, gy = x, 0.53 + 0.45 * y
        c.line([(gx - 0.008, gy - 0.012), (gx, gy), (gx + 0.008, gy - 0.012)], 0.003, c.dim((144, 184, 112)))


def _sea(c: _Canvas) -> None:
    c.sky((0, 0, 1, 0.42), 0.045)
    c.cloud(float(c.rng.uniform(0.1, 0.9)), float(c.rng.uniform(0.08, 0.2)), 0.07)
    c.fade((0, 0.4, 1, 0.74), c.dim((126, 190, 212)), c.dim((176, 220, 226)))
    for x, y in c.rng.random((12, 2)).tolist():
        wy = 0.44 + 0.25 * y
        c.line(
            [(x - 0.03, wy), (x - 0.015, wy - 0.006), (x, wy), (x + 0.015, wy - 0.006), (x + 0.03, wy)],
            0.003,
            c.dim((206, 234, 238)),
        )
    phase = float(c.rng.uniform(0, 1))
    edge = [(i / 20, 0.705 + 0.012 * (1 - abs(((i / 20 * 3 + phase) % 2) - 1))) for i in range(21)]
    c.polygon([*edge, (1.0, 1.0), (0.0, 1.0)], c.dim((238, 246, 244)))
    c.polygon([*((x, y + 0.014) for x, y in edge), (1.0, 1.0), (0.0, 1.0)], c.dim((240, 222, 180)))
    for x, y in c.rng.random((24, 2)).tolist():
        c.oval(x, 0.76 + 0.23 * y, 0.003, 0.002, c.dim((220, 198, 152)))


_DRAW: Mapping[Setting, Callable[[_Canvas], None]] = MappingProxyType(
    {
        Setting.KITCHEN: _kitchen,
        Setting.STREET: _street,
        Setting.SHELF: _shelf,
        Setting.DESK: _desk,
        Setting.PARK: _park,
        Setting.SEA: _sea,
    }
)


def backdrop(
    setting: Setting,
    light: Light,
    side: int,
    rng: np.random.Generator,
    *,
    window_left: bool = True,
    boards: tuple[float, ...] = (),
) -> Image.Image:
    """A setting without any object, RGB, `side` pixels square; `boards` are the rows of a shelf's boards."""
    canvas = _Canvas(Image.new("RGB", (side * _SUPER, side * _SUPER)), light, rng, window_left)
    _DRAW[setting](canvas)
    if boards:
        _boards(canvas, boards)
    return canvas.image.reduce(_SUPER)
