"""From things in their places to pixels, and to which pixel shows which thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harness.documents.synthesis.typefaces import Style
from harness.scenes.drawing.kinds import ART, Draw
from harness.scenes.drawing.lettering import Letter, letters_of
from harness.scenes.drawing.palette import Paint, Tone, luminance, tones
from harness.scenes.drawing.pen import Pen, Sprite
from harness.scenes.layout import Item
from harness.scenes.vocabulary import Kind, Light, Placement

__all__ = ["Rendered", "draw_items"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished picture."""

    image: Image.Image
    """RGB."""
    owners: NDArray[np.uint8]
    """(height, width): 0 where the backdrop shows, else the number of the thing plus 1."""
    totals: Sequence[int]
    """By thing, how many pixels it would show if nothing hid it."""
    letters: Sequence[Letter]
    """The characters of signs whose middle nothing hides."""


def _order(items: Sequence[Item]) -> list[int]:
    """Numbers of the things that nothing holds, the farthest first; ties go by number."""
    free = [n for n, item in enumerate(items) if item.holder is None]
    return sorted(free, key=lambda n: (-1.0 if (base := items[n].base) is None else base, n))


@dataclass(slots=True)
class _Easel:
    image: Image.Image
    owners: NDArray[np.uint8]
    shown: dict[int, NDArray[np.bool_]]
    light: Light

    def stamp(self, number: int, sprite: Sprite, left: int, top: int) -> None:
        """Put a sprite's inner corner at (left, top), and note whose pixels they are."""
        x, y = left - sprite.space, top - sprite.space
        self.image.paste(sprite.colours, (x, y), sprite.cover)
        cover = np.asarray(sprite.cover) > 127
        height, width = self.owners.shape
        x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + cover.shape[1]), min(height, y + cover.shape[0])
        inside = cover[y0 - y : y1 - y, x0 - x : x1 - x]
        self.owners[y0:y1, x0:x1][inside] = number + 1
        own = self.shown.setdefault(number, np.zeros_like(self.owners, dtype=np.bool_))
        own[y0:y1, x0:x1] |= inside

    def shadow(self, left: int, right: int, bottom: int) -> None:
        """A soft dark oval on the ground."""
        width = right - left
        down = max(3, width // 12)
        mask = Image.new("L", (width * 2, down * 4), 0)
        ImageDraw.Draw(mask).ellipse((0, 0, width * 2 - 1, down * 4 - 1), fill=64)
        mask = mask.reduce(2)
        self.image.paste(
            (20, 22, 36), (left, bottom - down - 1, left + mask.width, bottom - down - 1 + mask.height), mask
        )


def _pixels(item: Item, side: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(v * side) for v in item.extent)
    return left, top, max(right, left + 4), max(bottom, top + 4)


def _drawn(item: Item, width: int, height: int, paint: Paint, draw: Draw) -> Sprite:
    pen = Pen(width, height, paint, item.pattern)
    draw(pen)
    return pen.sprite()


def _sign(item: Item, width: int, height: int, paint: Paint, style: Style) -> tuple[Sprite, list[Letter]]:
    """A drawn sign, and its characters in pixels from its upper left corner."""
    pen = Pen(width, height, paint)
    board = 1 - item.post
    if item.post:
        pen.block((0.5 - 4 / width, 0.5, 0.5 + 4 / width, 1.0), Tone.METAL)
    pen.block((0.0, 0.0, 1.0, board), Tone.PLAIN, 0.08)
    sprite = pen.sprite()
    ink = (30, 30, 34) if luminance(paint.tones[Tone.PLAIN]) > 128 else (252, 252, 250)
    on = ImageDraw.Draw(sprite.colours)
    lines = (item.text or "").split("\n")
    top = (height * board - style.line_height * len(lines)) / 2
    letters: list[Letter] = []
    for i, line in enumerate(lines):
        at = (sprite.space + width / 2, sprite.space + top + style.line_height * (i + 0.5))
        on.text(at, line, fill=ink, font=style.font, anchor="mm")
        letters += [one.moved(-sprite.space, -sprite.space) for one in letters_of(line, at, style)]
    return sprite, letters


def draw_items(backdrop: Image.Image, items: Sequence[Item], light: Light, style: Style) -> Rendered:
    """Draw things onto `backdrop`, which is changed; `style` is that of the text of signs."""
    side = backdrop.width
    easel = _Easel(backdrop, np.zeros((backdrop.height, side), dtype=np.uint8), {}, light)
    held: dict[int, list[int]] = {}
    written: list[tuple[int, Letter]] = []
    for number, item in enumerate(items):
        if item.holder is not None:
            held.setdefault(item.holder, []).append(number)

    def put(number: int) -> None:
        item = items[number]
        left, top, right, bottom = _pixels(item, side)
        width, height, art = right - left, bottom - top, ART[item.kind]
        paint = tones(item.colour, light)
        if item.placement in (Placement.GROUND, Placement.SHELF, Placement.ON):
            inset = round(width * 0.38) if item.post else 0
            easel.shadow(left + inset, right - inset, bottom)
        if item.kind is Kind.SIGN:
            sprite, letters = _sign(item, width, height, paint, style)
            easel.stamp(number, sprite, left, top)
            written.extend((number, one.moved(left, top)) for one in letters)
            return
        if art.back is not None:
            easel.stamp(number, _drawn(item, width, height, paint, art.back), left, top)
            for inner in held.get(number, ()):
                put(inner)
        easel.stamp(number, _drawn(item, width, height, paint, art.draw), left, top)
        if art.back is None:
            for upper in held.get(number, ()):
                put(upper)

    for number in _order(items):
        put(number)
    totals = [int(easel.shown[number].sum()) for number in range(len(items))]
    return Rendered(
        image=easel.image,
        owners=easel.owners,
        totals=totals,
        letters=[one for number, one in written if _shows(easel.owners, number, one)],
    )


def _shows(owners: NDArray[np.uint8], number: int, letter: Letter) -> bool:
    column, row = (int(v) for v in letter.middle)
    return bool(owners[row, column] == number + 1)
