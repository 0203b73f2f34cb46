"""The closed sets of which scenes are made: what a picture can show, and nothing else is ever asked about."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "Colour",
    "FigureKind",
    "Kind",
    "Light",
    "Pattern",
    "Placement",
    "RelationKind",
    "Setting",
    "Size",
    "Stratum",
]


class Kind(StrEnum):
    """What an object is."""

    APPLE = "apple"
    BALL = "ball"
    BALLOON = "balloon"
    BANANA = "banana"
    BASKET = "basket"
    BIRD = "bird"
    BOAT = "boat"
    BOOK = "book"
    BOTTLE = "bottle"
    BOWL = "bowl"
    BOX = "box"
    CAR = "car"
    CAT = "cat"
    CHAIR = "chair"
    CLOCK = "clock"
    CUP = "cup"
    DOG = "dog"
    FISH = "fish"
    FLOWER = "flower"
    KITE = "kite"
    LAMP = "lamp"
    SIGN = "sign"
    TABLE = "table"
    TEAPOT = "teapot"
    TREE = "tree"
    UMBRELLA = "umbrella"


class Colour(StrEnum):
    """The colour of most of an object; patterns add white, grey or black to it."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    BROWN = "brown"
    BLACK = "black"
    WHITE = "white"


class Pattern(StrEnum):
    """What covers an object."""

    SOLID = "solid"
    STRIPED = "striped"
    DOTTED = "dotted"
    CHECKED = "checked"


class Size(StrEnum):
    """How large an object is drawn, beside what is usual for its kind."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Setting(StrEnum):
    """Where a scene is."""

    KITCHEN = "kitchen"
    STREET = "street"
    SHELF = "shelf"
    DESK = "desk"
    PARK = "park"
    SEA = "sea"


class Light(StrEnum):
    """The time of day, by the sky or what a window shows of it."""

    DAY = "day"
    SUNSET = "sunset"
    NIGHT = "night"


class Stratum(StrEnum):
    """How hard a scene is: how many objects, how much hidden, how many patterns, how much to read."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


class Placement(StrEnum):
    """What keeps an object where it is."""

    GROUND = "ground"
    """It stands on the ground, the floor of the setting, or floats on water."""
    SHELF = "shelf"
    """It stands on a board of a shelf."""
    AIR = "air"
    """It flies."""
    WALL = "wall"
    """It hangs on a wall."""
    ON = "on"
    """It stands on another object."""
    INSIDE = "inside"
    """It lies in another object."""


class RelationKind(StrEnum):
    """How one object stands to another. Each has one direction; the opposite is the same relation turned round."""

    LEFT_OF = "left of"
    ABOVE = "above"
    IN_FRONT_OF = "in front of"
    INSIDE = "inside"
    ON = "on"


class FigureKind(StrEnum):
    """What a figure is."""

    CHART = "chart"
    """Bars with their names and an axis."""
    FLOW = "flow"
    """Named boxes joined by arrows."""
    ARITHMETIC = "arithmetic"
    """An expression to be worked out."""
    CODE = "code"
    """Three lines of Python that print one value."""
