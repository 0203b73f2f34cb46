"""What each kind of object looks like, in unit coordinates: across from 0 to 1, down from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin
from types import MappingProxyType

from harness.scenes.drawing.palette import Tone
from harness.scenes.drawing.pen import Pen, bezier
from harness.scenes.vocabulary import Kind

__all__ = ["ART", "Art"]

Draw = Callable[[Pen], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Art:
    """How to draw one kind."""

    draw: Draw
    aspect: float
    """Width over height."""
    height: float
    """Usual height, as a share of the picture's."""
    back: Draw | None = None
    """What is behind the things inside it, for what can hold things."""
    rim: float = 0.0
    """How far down its opening is, for what can hold things."""
    top: float | None = None
    """How far down things stand on it, for what can carry things."""
    top_width: float = 0.7
    """The share of its width on which things can stand."""
    patterned: bool = True


def _apple(pen: Pen) -> None:
    pen.line(bezier((0.5, 0.32), (0.5, 0.16), (0.58, 0.05)), 0.07, Tone.WOOD)
    pen.polygon(
        [*bezier((0.56, 0.17), (0.66, 0.0), (0.92, 0.03)), *bezier((0.92, 0.03), (0.86, 0.2), (0.56, 0.17))], Tone.LEAF
    )
    left, right = bezier((0.5, 0.27), (0.1, 0.08), (0.03, 0.5)), bezier((0.97, 0.5), (0.9, 0.08), (0.5, 0.27))
    low = [
        *bezier((0.03, 0.5), (0.08, 0.98), (0.36, 0.98)),
        (0.5, 0.94),
        *bezier((0.64, 0.98), (0.92, 0.98), (0.97, 0.5)),
    ]
    pen.polygon([*left, *low, *right])
    pen.oval((0.17, 0.34, 0.3, 0.54), Tone.LIGHT)


def _ball(pen: Pen) -> None:
    pen.oval((0.0, 0.0, 1.0, 1.0))
    pen.arc((-0.62, 0.02, 0.34, 0.98), -48, 48, 0.035)
    pen.arc((0.66, 0.02, 1.62, 0.98), 132, 228, 0.035)
    pen.line([(0.5, 0.01), (0.5, 0.99)], 0.035)
    pen.oval((0.56, 0.12, 0.72, 0.28), Tone.LIGHT)


def _balloon(pen: Pen) -> None:
    pen.line([*bezier((0.5, 0.62), (0.3, 0.74), (0.5, 0.82)), *bezier((0.5, 0.82), (0.68, 0.9), (0.48, 1.0))], 0.035)
    pen.polygon([(0.5, 0.56), (0.38, 0.66), (0.62, 0.66)], Tone.SHADE)
    left, right = bezier((0.5, 0.61), (0.0, 0.42), (0.03, 0.24)), bezier((0.97, 0.24), (1.0, 0.42), (0.5, 0.61))
    pen.polygon(
        [*left, *bezier((0.03, 0.24), (0.06, 0.0), (0.5, 0.0)), *bezier((0.5, 0.0), (0.94, 0.0), (0.97, 0.24)), *right]
    )
    pen.oval((0.2, 0.09, 0.38, 0.22), Tone.LIGHT)


def _banana(pen: Pen) -> None:
    outer = bezier((0.05, 0.3), (0.3, 1.3), (0.93, 0.2))
    inner = bezier((0.9, 0.14), (0.42, 0.72), (0.14, 0.22))
    pen.polygon([*outer, *inner])
    pen.line(bezier((0.11, 0.33), (0.4, 1.0), (0.9, 0.22)), 0.03, Tone.SHADE)
    pen.polygon([(0.88, 0.18), (0.95, 0.22), (1.0, 0.03), (0.92, 0.0)], Tone.WOOD)
    pen.polygon([(0.05, 0.31), (0.14, 0.24), (0.1, 0.12), (0.03, 0.17)], Tone.DARK)


def _basket_back(pen: Pen) -> None:
    pen.arc((0.16, 0.0, 0.84, 0.9), 180, 360, 0.07, Tone.SHADE)
    pen.oval((0.03, 0.36, 0.97, 0.58), Tone.SHADE)


def _basket(pen: Pen) -> None:
    pen.polygon([(0.03, 0.48), (0.97, 0.48), (0.84, 1.0), (0.16, 1.0)])
    for i in range(1, 5):
        y = 0.5 + i * 0.105
        pen.line([(0.05 + i * 0.025, y), (0.95 - i * 0.025, y)], 0.022, Tone.SHADE)
    for i in range(1, 9):
        pen.line([(0.03 + i * 0.104, 0.5), (0.16 + i * 0.0756, 0.98)], 0.022, Tone.SHADE)
    pen.block((0.0, 0.44, 1.0, 0.54), Tone.LIGHT, 0.04)


def _bird(pen: Pen) -> None:
    pen.polygon([(0.3, 0.55), (0.0, 0.42), (0.04, 0.72), (0.3, 0.8)], Tone.SHADE)
    pen.polygon([(0.9, 0.24), (1.0, 0.35), (0.88, 0.42)], Tone.GOLD)
    pen.line([(0.46, 0.85), (0.44, 1.0)], 0.05, Tone.GOLD)
    pen.line([(0.58, 0.85), (0.58, 1.0)], 0.05, Tone.GOLD)
    pen.polygon(
        [*bezier((0.16, 0.62), (0.3, 0.95), (0.56, 0.9)), *bezier((0.56, 0.9), (0.88, 0.86), (0.88, 0.44)), (0.62, 0.3)]
    )
    pen.oval((0.56, 0.08, 0.92, 0.56))
    pen.polygon(
        [*bezier((0.64, 0.5), (0.5, 0.82), (0.2, 0.64)), *bezier((0.2, 0.64), (0.36, 0.4), (0.64, 0.5))], Tone.SHADE
    )
    pen.oval((0.74, 0.2, 0.82, 0.31), Tone.PALE)
    pen.oval((0.765, 0.225, 0.81, 0.285), Tone.DARK)


def _boat(pen: Pen) -> None:
    pen.line([(0.5, 0.02), (0.5, 0.8)], 0.04, Tone.WOOD)
    pen.polygon([(0.53, 0.06), (0.94, 0.64), (0.53, 0.64)])
    pen.polygon([(0.46, 0.14), (0.46, 0.64), (0.12, 0.64)])
    pen.polygon([(0.0, 0.72), (1.0, 0.72), (0.82, 1.0), (0.17, 1.0)])
    pen.block((0.0, 0.7, 1.0, 0.77), Tone.SHADE)


def _book(pen: Pen) -> None:
    pen.block((0.06, 0.04, 1.0, 1.0), Tone.PALE, 0.03)
    pen.line([(0.94, 0.06), (0.94, 0.96)], 0.015, Tone.METAL)
    pen.line([(0.1, 0.955), (0.97, 0.955)], 0.015, Tone.METAL)
    pen.block((0.0, 0.0, 0.9, 0.92), Tone.BODY, 0.04)
    pen.block((0.0, 0.0, 0.13, 0.92), Tone.SHADE, 0.03)
    pen.block((0.26, 0.16, 0.78, 0.38), Tone.PALE)
    pen.line([(0.34, 0.24), (0.7, 0.24)], 0.03)
    pen.line([(0.4, 0.31), (0.64, 0.31)], 0.03)


def _bottle(pen: Pen) -> None:
    pen.block((0.34, 0.0, 0.66, 0.1), Tone.DARK, 0.06)
    shoulder = [(0.36, 0.09), (0.64, 0.09), (0.64, 0.26), *bezier((0.64, 0.26), (0.98, 0.34), (1.0, 0.48))]
    pen.polygon(
        [
            *shoulder,
            (1.0, 0.96),
            (0.92, 1.0),
            (0.08, 1.0),
            (0.0, 0.96),
            *bezier((0.0, 0.48), (0.02, 0.34), (0.36, 0.26)),
        ]
    )
    pen.block((0.0, 0.58, 1.0, 0.78), Tone.PALE)
    pen.line([(0.2, 0.65), (0.8, 0.65)], 0.06, Tone.METAL)
    pen.line([(0.3, 0.71), (0.7, 0.71)], 0.06, Tone.METAL)
    pen.block((0.12, 0.44, 0.22, 0.56), Tone.LIGHT, 0.05)


def _bowl_back(pen: Pen) -> None:
    pen.oval((0.0, 0.0, 1.0, 0.44), Tone.SHADE)


def _bowl(pen: Pen) -> None:
    pen.block((0.32, 0.9, 0.68, 1.0), Tone.SHADE)
    pen.polygon(
        [
            *bezier((0.0, 0.22), (0.1, 0.94), (0.4, 0.95)),
            *bezier((0.6, 0.95), (0.9, 0.94), (1.0, 0.22)),
            *bezier((1.0, 0.22), (0.5, 0.66), (0.0, 0.22)),
        ]
    )
    pen.line(bezier((0.015, 0.24), (0.5, 0.67), (0.985, 0.24)), 0.05, Tone.LIGHT)


def _box(pen: Pen) -> None:
    pen.polygon([(0.0, 0.26), (0.2, 0.0), (1.0, 0.0), (0.8, 0.26)], Tone.LIGHT)
    pen.polygon([(0.8, 0.26), (1.0, 0.0), (1.0, 0.72), (0.8, 1.0)], Tone.SHADE)
    pen.polygon([(0.0, 0.26), (0.8, 0.26), (0.8, 1.0), (0.0, 1.0)])
    pen.polygon([(0.33, 0.26), (0.53, 0.0), (0.67, 0.0), (0.47, 0.26), (0.47, 0.44), (0.33, 0.44)], Tone.GOLD)


def _car(pen: Pen) -> None:
    pen.polygon(
        [
            (0.16, 0.48),
            *bezier((0.16, 0.48), (0.26, 0.02), (0.4, 0.02)),
            *bezier((0.62, 0.02), (0.74, 0.04), (0.84, 0.48)),
        ]
    )
    pen.block((0.0, 0.42, 1.0, 0.82), Tone.BODY, 0.16)
    pen.polygon([(0.26, 0.44), (0.35, 0.13), (0.49, 0.13), (0.49, 0.44)], Tone.GLASS)
    pen.polygon([(0.54, 0.44), (0.54, 0.13), (0.65, 0.13), (0.76, 0.44)], Tone.GLASS)
    pen.line([(0.515, 0.46), (0.515, 0.8)], 0.025, Tone.SHADE)
    pen.block((0.93, 0.5, 1.0, 0.62), Tone.GOLD)
    for x in (0.23, 0.77):
        pen.oval((x - 0.115, 0.6, x + 0.115, 1.0), Tone.DARK)
        pen.oval((x - 0.055, 0.7, x + 0.055, 0.9), Tone.METAL)


def _cat(pen: Pen) -> None:
    pen.line(
        [*bezier((0.72, 0.92), (1.02, 0.96), (0.94, 0.7)), *bezier((0.94, 0.7), (0.86, 0.56), (0.97, 0.5))],
        0.1,
        Tone.PLAIN,
    )
    pen.polygon([*bezier((0.2, 1.0), (0.12, 0.5), (0.46, 0.46)), *bezier((0.46, 0.46), (0.88, 0.5), (0.8, 1.0))])
    pen.polygon([(0.16, 0.26), (0.17, 0.0), (0.4, 0.14)])
    pen.polygon([(0.76, 0.26), (0.75, 0.0), (0.52, 0.14)])
    pen.oval((0.12, 0.08, 0.8, 0.54), Tone.PLAIN)
    for x in (0.32, 0.6):
        pen.oval((x - 0.06, 0.22, x + 0.06, 0.34), Tone.PALE)
        pen.oval((x - 0.025, 0.23, x + 0.025, 0.33), Tone.DARK)
    pen.polygon([(0.42, 0.37), (0.5, 0.37), (0.46, 0.41)], Tone.DARK)
    for y, dy in ((0.39, -0.02), (0.42, 0.02)):
        pen.line([(0.36, y), (0.1, y + dy)], 0.018, Tone.METAL)
        pen.line([(0.56, y), (0.82, y + dy)], 0.018, Tone.METAL)
    pen.line([(0.4, 0.78), (0.4, 0.98)], 0.025, Tone.SHADE)
    pen.line([(0.58, 0.78), (0.58, 0.98)], 0.025, Tone.SHADE)


def _chair(pen: Pen) -> None:
    for x in (0.06, 0.82):
        pen.block((x, 0.0, x + 0.12, 0.9), Tone.SHADE, 0.03)
    for y in (0.06, 0.24):
        pen.block((0.1, y, 0.9, y + 0.12))
    pen.polygon([(0.08, 0.48), (0.92, 0.48), (1.0, 0.62), (0.0, 0.62)], Tone.LIGHT)
    pen.block((0.0, 0.6, 1.0, 0.7))
    for x in (0.02, 0.86):
        pen.block((x, 0.68, x + 0.12, 1.0), Tone.BODY)


def _clock(pen: Pen) -> None:
    pen.oval((0.0, 0.0, 1.0, 1.0))
    pen.oval((0.19, 0.19, 0.81, 0.81), Tone.PALE)
    for i in range(12):
        x, y = sin(i * pi / 6), cos(i * pi / 6)
        inner = 0.22 if i % 3 == 0 else 0.25
        pen.line([(0.5 + x * inner, 0.5 + y * inner), (0.5 + x * 0.285, 0.5 + y * 0.285)], 0.022)
    pen.line([(0.5, 0.5), (0.5, 0.27)], 0.035)
    pen.line([(0.5, 0.5), (0.65, 0.58)], 0.045)


def _cup(pen: Pen) -> None:
    pen.arc((0.56, 0.22, 1.0, 0.74), -100, 110, 0.1, Tone.SHADE)
    pen.polygon(
        [
            (0.0, 0.12),
            (0.76, 0.12),
            *bezier((0.76, 0.12), (0.74, 0.8), (0.62, 1.0)),
            *bezier((0.14, 1.0), (0.02, 0.8), (0.0, 0.12)),
        ]
    )
    pen.oval((0.0, 0.0, 0.76, 0.24), Tone.LIGHT)
    pen.oval((0.06, 0.045, 0.7, 0.205), Tone.WOOD)


def _dog(pen: Pen) -> None:
    pen.line(bezier((0.1, 0.5), (0.0, 0.4), (0.04, 0.2)), 0.09, Tone.PLAIN)
    for x in (0.1, 0.24, 0.56, 0.68):
        pen.block((x, 0.66, x + 0.1, 1.0), Tone.SHADE if x in (0.24, 0.56) else Tone.PLAIN, 0.04)
    pen.block((0.06, 0.4, 0.8, 0.78), Tone.BODY, 0.18)
    pen.polygon([(0.58, 0.5), (0.64, 0.16), (0.82, 0.16), (0.8, 0.6)], Tone.PLAIN)
    pen.block((0.62, 0.06, 0.88, 0.4), Tone.PLAIN, 0.13)
    pen.block((0.78, 0.2, 1.0, 0.4), Tone.PLAIN, 0.08)
    pen.polygon(
        [*bezier((0.66, 0.06), (0.54, 0.1), (0.58, 0.42)), *bezier((0.58, 0.42), (0.7, 0.42), (0.72, 0.1))], Tone.SHADE
    )
    pen.oval((0.95, 0.18, 1.0, 0.27), Tone.DARK)
    pen.oval((0.76, 0.13, 0.82, 0.21), Tone.PALE)
    pen.oval((0.775, 0.145, 0.81, 0.2), Tone.DARK)
    pen.line([(0.86, 0.345), (0.98, 0.335)], 0.018, Tone.DARK)


def _fish(pen: Pen) -> None:
    pen.polygon([(0.28, 0.5), (0.0, 0.1), (0.06, 0.5), (0.0, 0.9)], Tone.SHADE)
    pen.polygon([(0.42, 0.18), (0.6, 0.0), (0.74, 0.2)], Tone.SHADE)
    pen.polygon([(0.5, 0.82), (0.56, 1.0), (0.68, 0.8)], Tone.SHADE)
    pen.polygon([*bezier((0.2, 0.5), (0.6, -0.14), (1.0, 0.5)), *bezier((1.0, 0.5), (0.6, 1.14), (0.2, 0.5))])
    pen.arc((0.56, 0.22, 0.8, 0.78), -70, 70, 0.04, Tone.DARK)
    pen.oval((0.83, 0.34, 0.91, 0.48), Tone.PALE)
    pen.oval((0.855, 0.37, 0.9, 0.45), Tone.DARK)


def _flower(pen: Pen) -> None:
    pen.line(bezier((0.5, 0.5), (0.46, 0.75), (0.5, 1.0)), 0.06, Tone.LEAF)
    right, left = bezier((0.49, 0.95), (0.2, 0.94), (0.14, 0.76)), bezier((0.14, 0.76), (0.4, 0.8), (0.49, 0.95))
    pen.polygon([*right, *left], Tone.LEAF)
    right, left = bezier((0.49, 0.88), (0.78, 0.88), (0.86, 0.7)), bezier((0.86, 0.7), (0.58, 0.74), (0.49, 0.88))
    pen.polygon([*right, *left], Tone.LEAF)
    for i in range(6):
        x, y = 0.5 + 0.29 * sin(i * pi / 3), 0.29 - 0.175 * cos(i * pi / 3)
        pen.oval((x - 0.21, y - 0.115, x + 0.21, y + 0.115), Tone.BODY if i % 2 else Tone.SHADE)
    pen.oval((0.35, 0.205, 0.65, 0.375), Tone.WOOD)


def _kite(pen: Pen) -> None:
    pen.line([*bezier((0.5, 0.6), (0.36, 0.72), (0.5, 0.8)), *bezier((0.5, 0.8), (0.64, 0.88), (0.5, 1.0))], 0.025)
    for y in (0.74, 0.88):
        x = 0.44 if y < 0.8 else 0.56
        pen.polygon(
            [(x - 0.13, y - 0.035), (x - 0.13, y + 0.035), (x + 0.13, y - 0.035), (x + 0.13, y + 0.035)], Tone.PLAIN
        )
    pen.polygon([(0.5, 0.0), (1.0, 0.24), (0.5, 0.64), (0.0, 0.24)])
    pen.line([(0.5, 0.01), (0.5, 0.63)], 0.02)
    pen.line([(0.01, 0.24), (0.99, 0.24)], 0.02)


def _lamp(pen: Pen) -> None:
    pen.block((0.45, 0.4, 0.55, 0.94), Tone.METAL)
    pen.oval((0.2, 0.9, 0.8, 1.0), Tone.DARK)
    pen.polygon([(0.28, 0.0), (0.72, 0.0), (1.0, 0.5), (0.0, 0.5)])
    pen.line([(0.0, 0.49), (1.0, 0.49)], 0.04, Tone.SHADE)
    pen.line([(0.82, 0.5), (0.82, 0.66)], 0.025, Tone.METAL)


def _table(pen: Pen) -> None:
    for x in (0.16, 0.76):
        pen.block((x, 0.2, x + 0.06, 0.82), Tone.SHADE)
    for x in (0.04, 0.88):
        pen.block((x, 0.28, x + 0.08, 1.0), Tone.PLAIN)
    pen.polygon([(0.12, 0.0), (0.88, 0.0), (1.0, 0.26), (0.0, 0.26)])
    pen.block((0.0, 0.24, 1.0, 0.36), Tone.SHADE)


def _teapot(pen: Pen) -> None:
    pen.arc((0.66, 0.26, 1.0, 0.8), -110, 110, 0.09, Tone.SHADE)
    pen.polygon(
        [
            (0.0, 0.28),
            (0.1, 0.24),
            *bezier((0.12, 0.26), (0.2, 0.5), (0.34, 0.5)),
            (0.34, 0.82),
            *bezier((0.34, 0.82), (0.08, 0.7), (0.0, 0.28)),
        ],
        Tone.SHADE,
    )
    pen.block((0.36, 0.92, 0.68, 1.0), Tone.SHADE, 0.03)
    pen.oval((0.18, 0.2, 0.86, 0.98))
    pen.oval((0.45, 0.0, 0.59, 0.17), Tone.DARK)
    pen.slice((0.32, 0.13, 0.72, 0.41), 180, 360, Tone.LIGHT)


def _tree(pen: Pen) -> None:
    pen.polygon([(0.43, 0.5), (0.57, 0.5), (0.6, 1.0), (0.4, 1.0)], Tone.WOOD)
    for corners in ((0.0, 0.26, 0.56, 0.66), (0.44, 0.26, 1.0, 0.66), (0.16, 0.0, 0.84, 0.48), (0.24, 0.3, 0.76, 0.7)):
        pen.oval(corners)
    for corners in ((0.24, 0.12, 0.36, 0.2), (0.56, 0.2, 0.68, 0.28), (0.3, 0.42, 0.42, 0.5), (0.66, 0.44, 0.78, 0.52)):
        pen.oval(corners, Tone.SHADE)


def _umbrella(pen: Pen) -> None:
    pen.block((0.475, 0.02, 0.525, 0.9), Tone.METAL)
    pen.arc((0.34, 0.82, 0.525, 1.0), 0, 180, 0.06, Tone.WOOD)
    scallops = []
    for i in range(4):
        x = 1.0 - i * 0.25
        scallops += bezier((x, 0.5), (x - 0.125, 0.4), (x - 0.25, 0.5), 6)
    pen.polygon(
        [
            *bezier((0.0, 0.5), (0.04, 0.06), (0.5, 0.06), 18),
            *bezier((0.5, 0.06), (0.96, 0.06), (1.0, 0.5), 18),
            *scallops,
        ]
    )
    pen.line(bezier((0.5, 0.07), (0.28, 0.2), (0.25, 0.49)), 0.022, Tone.SHADE)
    pen.line(bezier((0.5, 0.07), (0.72, 0.2), (0.75, 0.49)), 0.022, Tone.SHADE)


def _sign(pen: Pen) -> None:
    pen.block((0.0, 0.0, 1.0, 1.0), Tone.PALE, 0.1)
    pen.block((0.0, 0.0, 1.0, 1.0), Tone.PLAIN, 0.1)


ART: Mapping[Kind, Art] = MappingProxyType(
    {
        Kind.APPLE: Art(draw=_apple, aspect=0.98, height=0.14),
        Kind.BALL: Art(draw=_ball, aspect=1.0, height=0.14),
        Kind.BALLOON: Art(draw=_balloon, aspect=0.52, height=0.27),
        Kind.BANANA: Art(draw=_banana, aspect=1.35, height=0.13),
        Kind.BASKET: Art(draw=_basket, aspect=1.2, height=0.22, back=_basket_back, rim=0.47),
        Kind.BIRD: Art(draw=_bird, aspect=1.25, height=0.14),
        Kind.BOAT: Art(draw=_boat, aspect=1.05, height=0.24),
        Kind.BOOK: Art(draw=_book, aspect=0.76, height=0.18),
        Kind.BOTTLE: Art(draw=_bottle, aspect=0.36, height=0.24),
        Kind.BOWL: Art(draw=_bowl, aspect=1.7, height=0.13, back=_bowl_back, rim=0.36),
        Kind.BOX: Art(draw=_box, aspect=1.15, height=0.18, top=0.16),
        Kind.CAR: Art(draw=_car, aspect=2.05, height=0.155),
        Kind.CAT: Art(draw=_cat, aspect=0.8, height=0.2),
        Kind.CHAIR: Art(draw=_chair, aspect=0.6, height=0.25, top=0.56, top_width=0.8, patterned=False),
        Kind.CLOCK: Art(draw=_clock, aspect=1.0, height=0.16, patterned=False),
        Kind.CUP: Art(draw=_cup, aspect=1.1, height=0.13),
        Kind.DOG: Art(draw=_dog, aspect=1.3, height=0.18),
        Kind.FISH: Art(draw=_fish, aspect=1.6, height=0.12),
        Kind.FLOWER: Art(draw=_flower, aspect=0.6, height=0.21, patterned=False),
        Kind.KITE: Art(draw=_kite, aspect=0.62, height=0.27),
        Kind.LAMP: Art(draw=_lamp, aspect=0.66, height=0.22),
        Kind.SIGN: Art(draw=_sign, aspect=1.6, height=0.12, patterned=False),
        Kind.TABLE: Art(draw=_table, aspect=1.55, height=0.2, top=0.15, top_width=0.8, patterned=False),
        Kind.TEAPOT: Art(draw=_teapot, aspect=1.35, height=0.15),
        Kind.TREE: Art(draw=_tree, aspect=0.76, height=0.3),
        Kind.UMBRELLA: Art(draw=_umbrella, aspect=1.0, height=0.22),
    }
)
"""How each kind is drawn."""
