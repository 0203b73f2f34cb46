"""The type faces of the pages: freely licensed files from installed packages, set the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from types import MappingProxyType

from PIL import ImageFont

from harness.errors import UnsupportedError

__all__ = ["BLACK", "Colour", "Style", "Typeface"]

Colour = tuple[int, int, int]
BLACK: Colour = (24, 24, 26)


class Typeface(StrEnum):
    """A family with a regular and a bold cut."""

    DEJAVU_SANS = "DejaVu Sans"
    DEJAVU_SERIF = "DejaVu Serif"
    DEJAVU_MONO = "DejaVu Sans Mono"
    ROBOTO = "Roboto"
    LATO = "Lato"
    SOURCE_SANS = "Source Sans Pro"
    SOURCE_SERIF = "Source Serif Pro"
    CALADEA = "Caladea"


_DEJAVU = ("matplotlib", "matplotlib", "mpl-data/fonts/ttf")
_FILES: Mapping[Typeface, tuple[tuple[str, str, str], str, str]] = MappingProxyType(
    {
        Typeface.DEJAVU_SANS: (_DEJAVU, "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
        Typeface.DEJAVU_SERIF: (_DEJAVU, "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
        Typeface.DEJAVU_MONO: (_DEJAVU, "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
        Typeface.ROBOTO: (("font-roboto", "font_roboto", "files"), "Roboto-Regular.ttf", "Roboto-Bold.ttf"),
        Typeface.LATO: (("font-lato", "font_lato", "files"), "Lato-Regular.ttf", "Lato-Bold.ttf"),
        Typeface.SOURCE_SANS: (
            ("font-source-sans-pro", "font_source_sans_pro", "files"),
            "SourceSansPro-Regular.ttf",
            "SourceSansPro-Bold.ttf",
        ),
        Typeface.SOURCE_SERIF: (
            ("font-source-serif-pro", "font_source_serif_pro", "files"),
            "SourceSerifPro-Regular.ttf",
            "SourceSerifPro-Bold.ttf",
        ),
        Typeface.CALADEA: (("font-caladea", "font_caladea", "files"), "Caladea-Regular.ttf", "Caladea-Bold.ttf"),
    }
)


@lru_cache(maxsize=16)
def _path(typeface: Typeface, bold: bool) -> Path:
    (package, module, folder), regular, heavy = _FILES[typeface]
    spec = find_spec(module)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    for root in roots:
        path = Path(root) / folder / (heavy if bold else regular)
        if path.is_file():
            return path
    raise UnsupportedError(f"the type face {typeface} is not installed: pip install {package}")


@lru_cache(maxsize=512)
def _load(typeface: Typeface, bold: bool, size: int) -> ImageFont.FreeTypeFont:
    # BASIC: the other engine exists only where libraqm does, and spaces text differently
    return ImageFont.truetype(_path(typeface, bold), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=65536)
def _advance(typeface: Typeface, bold: bool, size: int, text: str) -> float:
    return float(_load(typeface, bold, size).getlength(text))


@lru_cache(maxsize=8192)
def _ink(typeface: Typeface, bold: bool, size: int, character: str) -> tuple[int, int, int, int]:
    mask, (left, top) = _load(typeface, bold, size).getmask2(character, mode="L", anchor="ls")
    x0, y0, x1, y1 = mask.getbbox() or (0, 0, 0, 0)
    return left + x0, top + y0, left + x1, top + y1


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a piece of text is set. `size` is the em in pixels."""

    typeface: Typeface
    size: int
    bold: bool = False
    ink: Colour = BLACK
    leading: float = 1.3

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """The face at this size; cached. Raises UnsupportedError if its package is missing."""
        return _load(self.typeface, self.bold, self.size)

    @property
    def line_height(self) -> int:
        """Pixels from one baseline to the next."""
        return round(self.size * self.leading)

    @property
    def ascent(self) -> int:
        """Pixels from the top of a line to its baseline."""
        return round((self.line_height - self.size) / 2 + self.size * 0.8)

    def length(self, text: str) -> float:
        """Advance width in pixels."""
        return float(self.font.getlength(text))

    def origins(self, text: str) -> list[float]:
        """Where each character starts, in pixels from the start of the text, kerning counted.

        Built from cached pairs: kerning depends on two neighbours only.
        """
        face = (self.typeface, self.bold, self.size)
        steps = (_advance(*face, pair) - _advance(*face, pair[1]) for pair in map("".join, pairwise(text)))
        return list(accumulate(steps, initial=0.0))[: len(text)]

    def ink_box(self, character: str) -> tuple[int, int, int, int]:
        """What one character inks, from its origin on the baseline: left, top, right, bottom. Cached."""
        return _ink(self.typeface, self.bold, self.size, character)

    def scaled(self, factor: float) -> Style:
        """The same at another size."""
        return replace(self, size=max(1, round(self.size * factor)))

    def heavy(self, bold: bool = True) -> Style:
        """The bold (or regular) cut."""
        return replace(self, bold=bold)

    def inked(self, ink: Colour) -> Style:
        """The same in another colour."""
        return replace(self, ink=ink)
