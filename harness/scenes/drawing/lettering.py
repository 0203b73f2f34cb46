"""Where each character of a drawn text is."""

from __future__ import annotations

from typing import NamedTuple

from harness.documents.synthesis.typefaces import Style

__all__ = ["Letter", "letters_of"]


class Letter(NamedTuple):
    """One character that leaves ink, and the rectangle of its ink: left, top, right, bottom in pixels."""

    character: str
    box: tuple[float, float, float, float]

    @property
    def middle(self) -> tuple[float, float]:
        """Across and down."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def moved(self, across: float, down: float) -> Letter:
        """The same elsewhere."""
        left, top, right, bottom = self.box
        return Letter(self.character, (left + across, top + down, right + across, bottom + down))


def letters_of(text: str, at: tuple[float, float], style: Style, anchor: str = "mm") -> list[Letter]:
    """The characters of one line that Pillow draws at `at` with an anchor of `l`, `m` or `r`, and then `m`."""
    ascent, descent = style.font.getmetrics()
    left = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * style.length(text)
    baseline = at[1] + (ascent - descent) / 2
    found = []
    for character, offset in zip(text, style.origins(text), strict=True):
        if not character.isspace():
            x0, y0, x1, y1 = style.ink_box(character)
            x = left + offset
            found.append(Letter(character, (x + x0, baseline + y0, x + x1, baseline + y1)))
    return found
