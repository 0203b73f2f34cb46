"""What each stratum allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.documents.synthesis.typefaces import Style, Typeface
from harness.scenes.drawing.settings import BOARDS
from harness.scenes.vocabulary import Setting, Stratum

__all__ = ["Difficulty", "boards_for", "difficulty", "sign_style"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """What a stratum allows."""

    objects: tuple[int, int]
    """The fewest and the most, both inclusive."""
    hidden: float
    """The share of an object's box that nearer ones may cover."""
    solid: float
    """The share of objects without a pattern."""
    group: tuple[int, int]
    """How many of a kind there may be together."""
    signs: float
    """The chance of a sign."""
    lettering: float
    """The em of a sign, as a share of the picture's height."""


_DIFFICULTY: Mapping[Stratum, Difficulty] = MappingProxyType(
    {
        Stratum.EASY: Difficulty(objects=(2, 4), hidden=0.0, solid=0.85, group=(1, 3), signs=0.5, lettering=0.06),
        Stratum.MEDIUM: Difficulty(objects=(4, 7), hidden=0.22, solid=0.6, group=(1, 4), signs=0.6, lettering=0.048),
        Stratum.HARD: Difficulty(objects=(8, 12), hidden=0.45, solid=0.45, group=(2, 5), signs=0.7, lettering=0.042),
    }
)


def difficulty(stratum: Stratum) -> Difficulty:
    """What `stratum` allows."""
    return _DIFFICULTY[stratum]


def sign_style(side: int, stratum: Stratum) -> Style:
    """How the text of signs is set in a picture `side` pixels high."""
    return Style(typeface=Typeface.DEJAVU_SANS, size=round(side * _DIFFICULTY[stratum].lettering), bold=True)


def boards_for(setting: Setting, stratum: Stratum) -> tuple[float, ...]:
    """The rows of the boards of a shelf; none elsewhere."""
    if setting is not Setting.SHELF:
        return ()
    return BOARDS[2 if stratum is Stratum.EASY else 3]
