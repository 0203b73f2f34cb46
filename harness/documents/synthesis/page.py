"""A page before it is an image: text runs that know which field they print, and the shapes behind them.

Everything is placed first and drawn later, so that a page can be as long as its content and every printed character
has a position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image, ImageDraw

from harness.documents.synthesis.typefaces import BLACK, Colour, Style

__all__ = ["Align", "Box", "Page", "Part", "Run", "Text", "Value", "plain"]

Align = Literal["left", "right", "centre"]
Box = tuple[float, float, float, float]
MIN_SIZE = 15
"""The smallest em in pixels that a layout asks for: from descender to ascender that is more than 13."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The value of a field, or one entry of a list field, as printed."""

    field: str
    text: str
    entry: int = 0
    lines: tuple[str, ...] = ()
    """Where it breaks by custom, as addresses do; joined by spaces it is `text`."""
    repeat: bool = False
    """Another printing of a value that stands elsewhere on the page."""

    def again(self) -> Value:
        """The same value, marked as a further printing of it."""
        return Value(field=self.field, text=self.text, entry=self.entry, lines=self.lines, repeat=True)


Text = str | Value


def plain(text: Text) -> str:
    """The characters to print."""
    return text.text if isinstance(text, Value) else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One piece of text as printed, on one line, in one style."""

    text: str
    x: int
    """Pixel column of the first character's origin."""
    baseline: int
    style: Style
    field: str | None = None
    """The field whose value (or part of a value) this is; None for everything else on the page."""
    entry: int = 0
    repeat: bool = False

    @property
    def box(self) -> Box:
        """Left, top, right, bottom in page pixels: as high as its ink, as wide as its advance."""
        x0, y0, x1, y1 = self.style.font.getbbox(self.text, anchor="ls")
        return self.x + x0, self.baseline + y0, self.x + x1, self.baseline + y1

    def character_boxes(self) -> list[tuple[str, Box]]:
        """Each character that leaves ink, with the rectangle of its ink in page pixels, in reading order."""
        found: list[tuple[str, Box]] = []
        for character, offset in zip(self.text, self.style.origins(self.text), strict=True):
            if not character.isspace():
                x0, y0, x1, y1 = self.style.ink_box(character)
                x = self.x + offset
                found.append((character, (x + x0, self.baseline + y0, x + x1, self.baseline + y1)))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    box: tuple[int, int, int, int]
    fill: Colour | None = None
    outline: Colour | None = None
    width: int = 1
    radius: int = 0
    ellipse: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a paragraph in its own style."""

    text: Text
    style: Style


@dataclass(slots=True)
class Page:
    """Collects runs and shapes; `height` is set when the layout knows it."""

    width: int
    paper: Colour = (255, 255, 255)
    height: int = 0
    runs: list[Run] = field(default_factory=list)
    _shapes: list[_Shape] = field(default_factory=list)

    def put(self, text: Text, style: Style, x: float, baseline: float, *, align: Align = "left") -> Box:
        """Print one line whose left edge, right edge or middle is at `x`; returns its advance box."""
        characters = plain(text)
        length = style.length(characters)
        left = round(x - {"left": 0.0, "centre": length / 2, "right": length}[align])
        tagged = text if isinstance(text, Value) else None
        self.runs.append(
            Run(
                text=characters,
                x=left,
                baseline=round(baseline),
                style=style,
                field=tagged.field if tagged else None,
                entry=tagged.entry if tagged else 0,
                repeat=tagged.repeat if tagged else False,
            )
        )
        return left, baseline - style.ascent, left + length, baseline - style.ascent + style.line_height

    def paragraph(
        self, parts: Sequence[Part], left: float, right: float, top: float, *, align: Align = "left", hang: float = 0
    ) -> float:
        """Set parts one after another, with a space between, breaking at spaces; returns the bottom.

        `hang` indents every line but the first. Text too wide for the column even alone is set smaller.
        """
        y = top
        for number, words in enumerate(_broken(_fitted(parts, right - left), right - left, hang)):
            start = left + (hang if number and align == "left" else 0)
            length = _length(words)
            x = {"left": start, "centre": (left + right - length) / 2, "right": right - length}[align]
            ascent = max(style.ascent for _, style in words)
            for text, style in words:
                self.put(text, style, x, y + ascent)
                x += style.length(plain(text)) + style.length(" ")
            y += max(style.line_height for _, style in words)
        return y

    def fill(self, box: Box, colour: Colour, *, radius: int = 0) -> None:
        """A filled rectangle behind the text."""
        self._shapes.append(_Shape(box=_whole(box), fill=colour, radius=radius))

    def frame(self, box: Box, colour: Colour = BLACK, *, width: int = 1, radius: int = 0) -> None:
        """An outlined rectangle."""
        self._shapes.append(_Shape(box=_whole(box), outline=colour, width=width, radius=radius))

    def disc(self, box: Box, colour: Colour) -> None:
        """A filled ellipse."""
        self._shapes.append(_Shape(box=_whole(box), fill=colour, ellipse=True))

    def rule(self, x0: float, x1: float, y: float, colour: Colour = BLACK, *, width: int = 1, dash: int = 0) -> None:
        """A horizontal line, dashed if `dash` is its dash length in pixels."""
        if not dash:
            self.fill((x0, y, x1, y + width - 1), colour)
            return
        x = x0
        while x < x1:
            self.fill((x, y, min(x + dash - 1, x1), y + width - 1), colour)
            x += dash * 2

    def post(self, x: float, y0: float, y1: float, colour: Colour = BLACK, *, width: int = 1) -> None:
        """A vertical line."""
        self.fill((x, y0, x + width - 1, y1), colour)

    def raster(self) -> Image.Image:
        """Draw the page: mode RGB, `width` x `height`."""
        image = Image.new("RGB", (self.width, self.height), self.paper)
        draw = ImageDraw.Draw(image)
        for shape in self._shapes:
            if shape.ellipse:
                draw.ellipse(shape.box, fill=shape.fill, outline=shape.outline, width=shape.width)
            elif shape.radius:
                draw.rounded_rectangle(shape.box, shape.radius, shape.fill, shape.outline, shape.width)
            else:
                draw.rectangle(shape.box, shape.fill, shape.outline, shape.width)
        for run in self.runs:
            draw.text((run.x, run.baseline), run.text, fill=run.style.ink, font=run.style.font, anchor="ls")
        return image


def _whole(box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(v) for v in box)
    return x0, y0, max(x0, x1), max(y0, y1)


def _length(words: Sequence[tuple[Text, Style]]) -> float:
    total = sum(style.length(plain(text)) for text, style in words)
    return total + sum(style.length(" ") for _, style in words[:-1])


def _fitted(parts: Iterable[Part], width: float) -> list[Part]:
    """Shrink any part with a word wider than the column."""
    fitted = []
    for part in parts:
        style = part.style
        longest = max((style.length(w) for w in plain(part.text).split()), default=0)
        if longest > width:
            size = int(style.size * width / longest)
            style = style.scaled(size / style.size)
        fitted.append(Part(part.text, style))
    return fitted


def _with_text(text: Text, characters: str) -> Text:
    if isinstance(text, str):
        return characters
    return Value(field=text.field, text=characters, entry=text.entry, repeat=text.repeat)


def _broken(parts: Sequence[Part], width: float, hang: float) -> Iterable[list[tuple[Text, Style]]]:
    """Greedy line breaking; words of one part on one line stay one piece."""
    line: list[tuple[Text, Style]] = []
    used = 0.0
    for part in parts:
        preferred = part.text.lines if isinstance(part.text, Value) else ()
        for number, chunk in enumerate(preferred or (plain(part.text),)):
            if number and line:
                yield line
                line, used = [], hang
            joins = False  # whether the last piece of the line belongs to this chunk
            for word in chunk.split():
                wide = part.style.length(word)
                gap = part.style.length(" ") if line else 0.0
                if line and used + gap + wide > width:
                    yield line
                    line, used, gap, joins = [], hang, 0.0, False
                if joins:
                    text, style = line[-1]
                    line[-1] = (_with_text(text, f"{plain(text)} {word}"), style)
                else:
                    line.append((_with_text(part.text, word), part.style))
                    joins = True
                used += gap + wide
    if line:
        yield line
