"""Pictures to be read: a bar chart, a flow of boxes, an expression, three lines of code; each with one question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import atan2, cos, pi, sin
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from harness.documents.synthesis.typefaces import Style, Typeface
from harness.scenes.drawing.lettering import Letter, letters_of
from harness.scenes.drawing.palette import COLOURS, RGB, luminance
from harness.scenes.generator import GENERATOR_VERSION, SIDE, random_numbers
from harness.scenes.model import Figure
from harness.scenes.vocabulary import Colour, FigureKind, Stratum

__all__ = ["DrawnFigure", "draw_figure", "figure_plan"]

_INK: RGB = (40, 42, 50)
_FAINT: RGB = (206, 210, 216)
_BARS = (Colour.RED, Colour.ORANGE, Colour.GREEN, Colour.BLUE, Colour.PURPLE, Colour.PINK)
_PEOPLE = "Ada Ben Cleo Dan Eva Finn Gus Hana Ivo June Kim Leo Mia Nils Olga Pia Quin Rosa Sam Tess Una Vic Wes Zoe"
_STEPS = (
    "Ask Bake Bill Check Clean Cook Count Cut Draw File Fill Fix Grow Mix Note Pack Paint Pay Plan Print Read Scan "
    "Send Sew Ship Sign Sort Stamp Test Wash Weigh Wrap"
)
_WORDS = "paper garden silver window pocket button candle bridge planet rocket"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFigure:
    """A figure with its picture."""

    figure: Figure
    image: Image.Image
    """RGB."""
    letters: Sequence[Letter]
    """All that is written, character by character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    lines: tuple[str, ...]
    question: str
    answer: str


@dataclass(slots=True)
class _Sheet:
    """A page: shapes on twice the pixels first, then text on top. Coordinates are shares of the side."""

    side: int
    rng: np.random.Generator
    stratum: Stratum
    paper: RGB
    _shapes: Image.Image
    _texts: list[tuple[tuple[float, float], str, Style, RGB, str]]

    @classmethod
    def new(cls, side: int, rng: np.random.Generator, stratum: Stratum) -> _Sheet:
        """An empty one, of one of four papers."""
        papers: tuple[RGB, ...] = ((255, 255, 255), (250, 247, 240), (242, 246, 250), (246, 250, 244))
        paper = papers[int(rng.integers(len(papers)))]
        return cls(side, rng, stratum, paper, Image.new("RGB", (side * 2, side * 2), paper), [])

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """Draws on the shapes, in pixels of twice the resolution."""
        return ImageDraw.Draw(self._shapes)

    def at(self, *shares: float) -> list[float]:
        """Shares of the side as drawn pixels."""
        return [share * self.side * 2 for share in shares]

    def pick(self, words: str, count: int) -> list[str]:
        """So many different ones of the words of a text."""
        pool = words.split()
        return [pool[i] for i in self.rng.permutation(len(pool))[:count]]

    def number(self, low: int, high: int) -> int:
        """A whole number, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        mono: bool = False,
        ink: RGB = _INK,
        anchor: str = "mm",
        bold: bool = False,
    ) -> None:
        """Put text, `size` of the side high."""
        face = Typeface.DEJAVU_MONO if mono else Typeface.DEJAVU_SANS
        self._texts.append(
            (
                (x * self.side, y * self.side),
                text,
                Style(typeface=face, size=max(11, round(size * self.side)), bold=bold),
                ink,
                anchor,
            )
        )

    def letters(self) -> list[Letter]:
        """All characters that are written, text by text."""
        return [one for at, text, style, _, anchor in self._texts for one in letters_of(text, at, style, anchor)]

    def finished(self) -> Image.Image:
        """The picture."""
        image = self._shapes.reduce(2)
        pen = ImageDraw.Draw(image)
        for at, text, style, ink, anchor in self._texts:
            pen.text(at, text, fill=ink, font=style.font, anchor=anchor)
        return image


def _bar_values(sheet: _Sheet, count: int, step: int) -> list[int]:
    """Different heights, each on a line of the grid or, where it is hard, halfway between two."""
    parts = 2 if sheet.stratum is Stratum.HARD else 1
    heights = sheet.rng.permutation(np.arange(parts, 6 * parts + 1))[:count]
    return [int(h) * step // parts for h in heights]


def _chart_question(sheet: _Sheet, names: list[str], values: list[int]) -> tuple[str, str]:
    ask = sheet.number(0, 3 if sheet.stratum is not Stratum.EASY else 2)
    if ask == 0:
        return "Which bar is the tallest? Answer with its name.", names[values.index(max(values))]
    if ask == 1:
        return "Which bar is the shortest? Answer with its name.", names[values.index(min(values))]
    a, b = sheet.rng.permutation(len(names))[:2].tolist()
    if ask == 2:
        return f"What is the value of the bar {names[a]}? Answer with a number.", str(values[a])
    if values[a] < values[b]:
        a, b = b, a
    return f"By how much is the bar {names[a]} taller than the bar {names[b]}? Answer with a number.", str(
        values[a] - values[b]
    )


def _chart(sheet: _Sheet) -> _Content:
    count = {Stratum.EASY: 3, Stratum.MEDIUM: 4, Stratum.HARD: 6}[sheet.stratum]
    step = (2, 10, 20)[sheet.number(0, 2)]
    names, values = sheet.pick(_PEOPLE, count), _bar_values(sheet, count, step)
    left, right, top, floor = 0.14, 0.95, 0.16, 0.86
    for i in range(7):
        y = floor - (floor - top) * i / 6
        sheet.pen.line(sheet.at(left, y, right, y), fill=_FAINT if i else _INK, width=2 if i else 4)
        sheet.write(left - 0.02, y, str(i * step), 0.036, anchor="rm")
    colours = [_BARS[i] for i in sheet.rng.permutation(len(_BARS))]
    slot = (right - left) / count
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        x, y = left + slot * (i + 0.5), floor - (floor - top) * value / (6 * step)
        sheet.pen.rectangle(
            sheet.at(x - slot * 0.3, y, x + slot * 0.3, floor), fill=COLOURS[colours[i]], outline=_INK, width=2
        )
        sheet.write(x, floor + 0.045, name, 0.042)
        if sheet.stratum is Stratum.EASY:
            sheet.write(x, y - 0.028, str(value), 0.036)
    title = ("Points", "Books read", "Visits", "Cups sold")[sheet.number(0, 3)]
    sheet.write(0.5, 0.07, title, 0.05, bold=True)
    axis = tuple(str(i * step) for i in range(7))
    printed = tuple(str(v) for v in values) if sheet.stratum is Stratum.EASY else ()
    question, answer = _chart_question(sheet, names, values)
    return _Content(lines=(title, *axis, *names, *printed), question=question, answer=answer)


def _arrow(sheet: _Sheet, start: tuple[float, float], end: tuple[float, float], half: tuple[float, float]) -> None:
    """From the edge of one box to the edge of another, both `half` as wide and high around their middles."""
    angle = atan2(end[1] - start[1], end[0] - start[0])
    dx, dy = cos(angle), sin(angle)
    reach = min(half[0] / abs(dx) if dx else 9.0, half[1] / abs(dy) if dy else 9.0)
    ax, ay = start[0] + dx * (reach + 0.008), start[1] + dy * (reach + 0.008)
    bx, by = end[0] - dx * (reach + 0.012), end[1] - dy * (reach + 0.012)
    sheet.pen.line(sheet.at(ax, ay, bx - dx * 0.02, by - dy * 0.02), fill=_INK, width=5)
    wings = [(bx - 0.042 * cos(angle + turn), by - 0.042 * sin(angle + turn)) for turn in (-0.42, 0.42)]
    sheet.pen.polygon(sheet.at(bx, by, *wings[0], *wings[1]), fill=_INK)


def _flow(sheet: _Sheet) -> _Content:
    count = {Stratum.EASY: 3, Stratum.MEDIUM: 4, Stratum.HARD: 6}[sheet.stratum]
    names = sheet.pick(_STEPS, count)
    turn = sheet.rng.uniform(0, 2 * pi)
    places = [
        (0.5 + 0.34 * cos(turn + 2 * pi * i / count), 0.5 + 0.36 * sin(turn + 2 * pi * i / count)) for i in range(count)
    ]
    order = sheet.rng.permutation(count).tolist() if sheet.stratum is Stratum.HARD else list(range(count))
    if sheet.rng.random() < 0.5:
        order.reverse()
    half = (0.115, 0.052)
    for a, b in pairwise(order):
        _arrow(sheet, places[a], places[b], half)
    for name, (x, y) in zip(names, places, strict=True):
        colour = (sheet.number(196, 240), sheet.number(206, 240), sheet.number(206, 246))
        sheet.pen.rounded_rectangle(
            sheet.at(x - half[0], y - half[1], x + half[0], y + half[1]), 14, fill=colour, outline=_INK, width=4
        )
        sheet.write(x, y, name, 0.05)
    lines = tuple(names[i] for i in order)
    if sheet.stratum is Stratum.EASY or sheet.rng.random() < 0.4:
        at = sheet.number(0, count - 2)
        return _Content(
            lines=lines,
            question=f"Which box does the arrow from {lines[at]} lead to? Answer with its name.",
            answer=lines[at + 1],
        )
    steps = sheet.number(2, count - 1)
    at = sheet.number(0, count - 1 - steps)
    question = (
        f"Start at the box {lines[at]} and follow {steps} arrows. At which box do you arrive? Answer with its name."
    )
    return _Content(lines=lines, question=question, answer=lines[at + steps])


def _arithmetic(sheet: _Sheet) -> _Content:
    if sheet.stratum is Stratum.EASY:
        a, b = sheet.number(2, 20), sheet.number(2, 20)
        text, answer = (f"{a} + {b}", a + b) if sheet.rng.random() < 0.5 else (f"{a + b} - {b}", a)
    elif sheet.stratum is Stratum.MEDIUM:
        a, b, c = sheet.number(3, 9), sheet.number(3, 9), sheet.number(2, 30)
        text, answer = (f"{a} × {b} + {c}", a * b + c) if sheet.rng.random() < 0.5 else (f"{c} + {a} × {b}", c + a * b)
    else:
        a, b, c, d = sheet.number(3, 19), sheet.number(3, 19), sheet.number(2, 7), sheet.number(2, 40)
        text, answer = f"({a} + {b}) × {c} - {d}", (a + b) * c - d
    sheet.pen.rounded_rectangle(
        sheet.at(0.06, 0.34, 0.94, 0.66), 24, fill=(255, 255, 255), outline=COLOURS[_BARS[sheet.number(0, 5)]], width=8
    )
    sheet.write(0.5, 0.5, f"{text} = ?", 0.062 if sheet.stratum is Stratum.HARD else 0.1, bold=True)
    return _Content(
        lines=(f"{text} = ?",),
        question="What is the result of the calculation? Answer with a number.",
        answer=str(answer),
    )


def _program(sheet: _Sheet) -> tuple[tuple[str, str, str], str]:
    """Three lines of Python, and what they print."""
    a, b, c = sheet.number(2, 9), sheet.number(2, 9), sheet.number(1, 9)
    kind = sheet.number(0, {Stratum.EASY: 1, Stratum.MEDIUM: 3, Stratum.HARD: 4}[sheet.stratum])
    if kind == 0:
        return (f"a = {a}", f"b = a + {b}", f"print(b + {c})"), str(a + b + c)
    if kind == 1:
        return (f"a = {a}", f"b = {b}", "print(a * b)"), str(a * b)
    if kind == 2:
        values = [a, b, c]
        at = sheet.number(0, 2)
        return (f"values = [{a}, {b}, {c}]", f"values.append({a + b})", f"print(values[{at}] + values[-1])"), str(
            values[at] + a + b
        )
    if kind == 3:
        word, end = sheet.pick(_WORDS, 1)[0], sheet.number(2, 4)
        return (f'word = "{word}"', f"part = word[:{end}]", "print(part)"), word[:end]
    low, high = sheet.number(1, 4), sheet.number(6, 8)
    return (f"total = {a}", f"for n in range({low}, {high}): total += n", "print(total)"), str(
        a + sum(range(low, high))
    )


def _code(sheet: _Sheet) -> _Content:
    lines, answer = _program(sheet)
    dark = sheet.rng.random() < 0.5
    back: RGB = (38, 42, 54) if dark else (252, 252, 253)
    sheet.pen.rounded_rectangle(sheet.at(0.03, 0.26, 0.97, 0.74), 24, fill=back, outline=(120, 124, 136), width=3)
    for i, colour in enumerate((Colour.RED, Colour.YELLOW, Colour.GREEN)):
        x = 0.08 + i * 0.045
        sheet.pen.ellipse(sheet.at(x - 0.013, 0.3 - 0.013, x + 0.013, 0.3 + 0.013), fill=COLOURS[colour])
    ink: RGB = (236, 238, 242) if luminance(back) < 128 else _INK
    longest = max(len(line) for line in lines)
    size = min(0.058, 0.82 / (longest * 0.61))
    for i, line in enumerate(lines):
        sheet.write(0.08, 0.41 + i * 0.12, line, size, mono=True, ink=ink, anchor="lm", bold=True)
    return _Content(lines=lines, question="What does this Python program print? Answer with that only.", answer=answer)


_DRAW: Mapping[FigureKind, Callable[[_Sheet], _Content]] = MappingProxyType(
    {FigureKind.CHART: _chart, FigureKind.FLOW: _flow, FigureKind.ARITHMETIC: _arithmetic, FigureKind.CODE: _code}
)


def figure_plan(index: int) -> tuple[Stratum, FigureKind]:
    """Stratum and kind of figure `index`: kinds alternate, and each goes through the strata in turn."""
    kinds, strata = tuple(FigureKind), tuple(Stratum)
    return strata[index // len(kinds) % len(strata)], kinds[index % len(kinds)]


def draw_figure(
    seed: int, index: int, *, side: int = SIDE, stratum: Stratum | None = None, kind: FigureKind | None = None
) -> DrawnFigure:
    """Draw figure `index` of the series `seed`; the same arguments always give the same figure.

    `side` is the height and width in pixels, at least 224; `stratum` and `kind` replace what `figure_plan` would
    choose. Raises ValueError for a smaller picture, UnsupportedError if a type face is not installed.
    """
    if side < SIDE // 2:
        raise ValueError(f"a figure needs at least {SIDE // 2} pixels a side, not {side}")
    planned = figure_plan(index)
    stratum, kind = stratum or planned[0], kind or planned[1]
    sheet = _Sheet.new(side, random_numbers(seed, index, f"figure/{stratum}/{kind}"), stratum)
    content = _DRAW[kind](sheet)
    figure = Figure(
        version=GENERATOR_VERSION,
        seed=seed,
        index=index,
        stratum=stratum,
        kind=kind,
        width=side,
        height=side,
        lines=content.lines,
        question=content.question,
        answer=content.answer,
    )
    return DrawnFigure(figure=figure, image=sheet.finished(), letters=sheet.letters())
