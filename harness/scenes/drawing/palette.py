"""The colours of objects, and what light and patterns make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from harness.scenes.vocabulary import Colour, Light

__all__ = ["COLOURS", "RGB", "Paint", "Tone", "Tones", "distance", "luminance", "second_colour", "shaded", "tones"]

RGB = tuple[int, int, int]

COLOURS: Mapping[Colour, RGB] = MappingProxyType(
    {
        Colour.RED: (212, 36, 38),
        Colour.ORANGE: (246, 132, 20),
        Colour.YELLOW: (250, 214, 34),
        Colour.GREEN: (44, 150, 62),
        Colour.BLUE: (36, 88, 206),
        Colour.PURPLE: (128, 56, 168),
        Colour.PINK: (246, 140, 186),
        Colour.BROWN: (122, 72, 36),
        Colour.BLACK: (38, 38, 42),
        Colour.WHITE: (248, 248, 246),
    }
)
_LIT: Mapping[Light, tuple[float, float, float]] = MappingProxyType(
    {Light.DAY: (1.0, 1.0, 1.0), Light.SUNSET: (1.0, 0.96, 0.9), Light.NIGHT: (0.88, 0.89, 0.96)}
)
_GREY: RGB = (150, 152, 156)
_PALE: RGB = (250, 250, 246)


class Tone(Enum):
    """What a part of an object is painted with."""

    BODY = auto()
    """The object's colour and pattern."""
    PLAIN = auto()
    """The object's colour without its pattern."""
    SHADE = auto()
    LIGHT = auto()
    DARK = auto()
    PALE = auto()
    METAL = auto()
    WOOD = auto()
    LEAF = auto()
    GLASS = auto()
    GOLD = auto()


Tones = Mapping[Tone, RGB]


def shaded(colour: RGB, factor: float) -> RGB:
    """Darker below a factor of 1; above it, mixed with so much white."""
    if factor <= 1:
        return tuple(round(c * factor) for c in colour)  # type: ignore[return-value]
    return tuple(round(c + (255 - c) * (factor - 1)) for c in colour)  # type: ignore[return-value]


def _lit(colour: RGB, light: Light) -> RGB:
    return tuple(round(c * f) for c, f in zip(colour, _LIT[light], strict=True))  # type: ignore[return-value]


def luminance(colour: RGB) -> float:
    """Rec. 601 luma, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def distance(a: RGB, b: RGB) -> float:
    """How different two colours look: the "redmean" approximation of CompuPhase, 0 to about 765."""
    mean = (a[0] + b[0]) / 2
    red, green, blue = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    return float(((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2) ** 0.5)


def second_colour(colour: Colour) -> Colour | None:
    """What a pattern adds to a colour: white or black, or a grey that is none of the colours (None)."""
    if colour in (Colour.WHITE, Colour.BLACK):
        return None
    return Colour.BLACK if colour is Colour.YELLOW else Colour.WHITE


@dataclass(frozen=True, slots=True)
class Paint:
    """The tones of an object, and the second colour of its pattern."""

    tones: Tones
    second: RGB


def tones(colour: Colour, light: Light) -> Paint:
    """What to paint an object of `colour` with."""
    body = COLOURS[colour]
    # black can only get lighter, and dark yellow would be orange
    shade = shaded(body, 1.16 if colour is Colour.BLACK else 0.89 if colour is Colour.YELLOW else 0.8)
    fixed = {
        Tone.DARK: (44, 42, 48),
        Tone.PALE: _PALE,
        Tone.METAL: (152, 158, 166),
        Tone.WOOD: (118, 82, 52),
        Tone.LEAF: (78, 132, 66),
        Tone.GLASS: (196, 222, 234),
        Tone.GOLD: (226, 172, 60),
    }
    own = {Tone.BODY: body, Tone.PLAIN: body, Tone.SHADE: shade, Tone.LIGHT: shaded(body, 1.3)}
    second = second_colour(colour)
    return Paint(
        MappingProxyType({tone: _lit(rgb, light) for tone, rgb in {**fixed, **own}.items()}),
        _lit(_GREY if second is None else COLOURS[second], light),
    )
