"""What the layouts are built from: a look, and a column with a cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from harness.documents.synthesis.facts import DocumentKind, Facts, Trait
from harness.documents.synthesis.page import MIN_SIZE, Align, Page, Part, Text, plain
from harness.documents.synthesis.typefaces import BLACK, Colour, Style, Typeface

__all__ = ["GREY", "WHITE", "Column", "Layout", "Look", "Rules", "finish", "tint"]

WHITE: Colour = (255, 255, 255)
GREY: Colour = (96, 98, 104)
Rules = Literal["none", "lines", "grid", "header", "zebra"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The typography of one document."""

    typeface: Typeface
    size: int
    accent: Colour = BLACK
    colon: bool = True
    shout: bool = False
    """Labels in capitals."""

    @property
    def body(self) -> Style:
        """Running text."""
        return Style(typeface=self.typeface, size=self.size)

    @property
    def strong(self) -> Style:
        """Running text, bold."""
        return self.body.heavy()

    @property
    def small(self) -> Style:
        """Notes and captions."""
        return Style(typeface=self.typeface, size=max(MIN_SIZE, round(self.size * 0.86)))

    def head(self, factor: float) -> Style:
        """Bold and larger."""
        return self.strong.scaled(factor)

    def label(self, text: str) -> str:
        """A label as this document writes labels."""
        if not text:
            return ""
        text = text.upper() if self.shout else text
        return f"{text}:" if self.colon and not text.endswith((":", "?", "of")) else text

    def inline(self, text: str) -> str:
        """A label that runs on into its value: always with a colon."""
        return f"{self.heading(text.rstrip(':'))}:" if text else ""

    def heading(self, text: str) -> str:
        """A label that stands above what it names."""
        return text.upper() if self.shout else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to lay a kind of document out. `draw` prints all of the facts and sets the page's height."""

    name: str
    kind: DocumentKind
    draw: Callable[[Page, Facts, Look, Random], None]
    typefaces: tuple[Typeface, ...]
    widths: tuple[int, int]
    sizes: tuple[int, int]
    traits: frozenset[Trait] = frozenset()


def tint(colour: Colour, share: float) -> Colour:
    """`colour` on white at strength `share`."""
    r, g, b = (round(255 - (255 - c) * share) for c in colour)
    return r, g, b


@dataclass(slots=True)
class Column:
    """A cursor that runs down between two edges of a page."""

    page: Page
    left: float
    right: float
    y: float

    def gap(self, pixels: float) -> None:
        """Leave space."""
        self.y += pixels

    def rule(self, colour: Colour = BLACK, *, width: int = 1, dash: int = 0, space: float = 8) -> None:
        """A line across the column, with `space` above and below."""
        self.page.rule(self.left, self.right, self.y + space, colour, width=width, dash=dash)
        self.y += 2 * space + width

    def write(self, style: Style, *texts: Text, align: Align = "left", hang: float = 0) -> None:
        """A paragraph of texts one after another; empty ones are left out."""
        parts = [Part(t, style) for t in texts if plain(t)]
        self.y = self.page.paragraph(parts, self.left, self.right, self.y, align=align, hang=hang)

    def ends(self, style: Style, label: str, value: Text) -> None:
        """Label at the left edge, value at the right; the label wraps if there is no room."""
        room = max(self.left + 40, self.right - style.length(plain(value)) - style.size)
        bottom = self.page.paragraph([Part(label, style)], self.left, room, self.y)
        self.page.put(value, style, self.right, self.y + style.ascent, align="right")
        self.y = max(bottom, self.y + style.line_height)

    def pairs(
        self,
        label_style: Style,
        value_style: Style,
        rows: Sequence[tuple[str, Text]],
        *,
        space: float = 0,
        align: Align = "left",
    ) -> None:
        """Labels in one column, values in the next."""
        if not rows:
            return
        offset = max(label_style.length(label) for label, _ in rows) + label_style.size * 0.9
        offset = min(offset, (self.right - self.left) * 0.6)
        for label, value in rows:
            bottom = self.y
            if label:
                bottom = self.page.paragraph(
                    [Part(label, label_style)], self.left, self.left + offset - label_style.size * 0.4, self.y
                )
            start = self.left + offset if label else self.left
            self.y = (
                max(bottom, self.page.paragraph([Part(value, value_style)], start, self.right, self.y, align=align))
                + space
            )

    def stack(self, label_style: Style, value_style: Style, label: str, value: Text, *, align: Align = "left") -> None:
        """A label with its value on the next line."""
        if label:
            self.write(label_style, label, align=align)
        self.write(value_style, value, align=align)


def finish(page: Page, bottom: float, margin: float, ratio: float = 0.0) -> None:
    """Set the page's height: what is printed and a margin, or `ratio` of the width if that is more."""
    page.height = max(round(bottom + margin), round(page.width * ratio))
