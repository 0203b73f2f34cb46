"""What is known of a picture: every object, what it looks like, where it is, and how it stands to the others.

All positions are whole pixels of the picture, (left, top, right, bottom), right and bottom exclusive.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import msgspec

from harness.errors import CorpusError
from harness.scenes.vocabulary import (
    Colour,
    FigureKind,
    Kind,
    Light,
    Pattern,
    Placement,
    RelationKind,
    Setting,
    Size,
    Stratum,
)

__all__ = ["JUDGED_FROM", "Box", "Figure", "Picture", "Relation", "Scene", "SceneObject", "from_json", "to_json"]

Box = tuple[int, int, int, int]

JUDGED_FROM = 0.5
"""An object of which less than this share can be seen need not be mentioned, and nothing is asked about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One object of a scene."""

    number: int
    """Its place in `Scene.objects`."""
    kind: Kind
    colour: Colour
    pattern: Pattern
    size: Size
    placement: Placement
    holder: int | None = None
    """The object that it stands on or lies in."""
    extent: Box
    """Around all of it, hidden parts included."""
    box: Box | None
    """Around what can be seen of it; None if nothing can."""
    pixels: int
    """How many can be seen."""
    visible: float
    """The share of its pixels that can be seen, 0 to 1."""
    base: int | None = None
    """Pixel row in which it, or what holds it, touches the ground: the lower, the nearer. None off the ground."""
    text: str | None = None
    """What it says, if it is a sign; lines are parted by a line feed."""

    @property
    def judged(self) -> bool:
        """Whether enough of it can be seen that an answer must know of it."""
        return self.box is not None and self.visible >= JUDGED_FROM

    def __post_init__(self) -> None:
        if not (isfinite(self.visible) and 0.0 <= self.visible <= 1.0):
            raise ValueError(f"object {self.number}: visible is {self.visible}, not a share from 0 to 1")
        if (self.box is None) != (self.pixels == 0) or self.pixels < 0:
            raise ValueError(f"object {self.number}: {self.pixels} visible pixels do not fit box {self.box}")
        if (self.holder is None) == (self.placement in (Placement.ON, Placement.INSIDE)):
            raise ValueError(f"object {self.number}: placement {self.placement} does not fit holder {self.holder}")
        if (self.text is None) == (self.kind is Kind.SIGN):
            raise ValueError(f"object {self.number}: a sign has a text, and nothing else has")


class Relation(NamedTuple):
    """`subject` is `kind` `target`: both are numbers of objects."""

    subject: int
    kind: RelationKind
    target: int


def _check_box(box: Box, width: int, height: int, what: str) -> None:
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"{what}: box {box} is not within the picture of {width} x {height} pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture of objects in a setting, as drawn."""

    version: int
    """Of the generator."""
    seed: int
    index: int
    stratum: Stratum
    setting: Setting
    light: Light | None
    """None where the picture does not show the time of day."""
    width: int
    height: int
    objects: tuple[SceneObject, ...]
    relations: tuple[Relation, ...]
    """Those with clear margins, between objects that are judged; what is not here, nor its opposite, is undecided."""

    def __post_init__(self) -> None:
        for place, one in enumerate(self.objects):
            if one.number != place:
                raise ValueError(f"object {place} has the number {one.number}")
            if one.holder is not None and (not 0 <= one.holder < len(self.objects) or one.holder == place):
                raise ValueError(f"object {place}: there is no holder {one.holder}")
            _check_box(one.extent, self.width, self.height, f"object {place}")
            if one.box is not None:
                _check_box(one.box, self.width, self.height, f"object {place}")
        numbers = range(len(self.objects))
        for relation in self.relations:
            if relation.subject not in numbers or relation.target not in numbers or relation.subject == relation.target:
                raise ValueError(f"{relation} is not between two objects of the scene")

    @property
    def name(self) -> str:
        """Of its image file."""
        return f"scene-{self.index:04d}.webp"

    @property
    def judged(self) -> tuple[SceneObject, ...]:
        """The objects that an answer must know of."""
        return tuple(one for one in self.objects if one.judged)

    def counts(self) -> dict[Kind, tuple[int, int]]:
        """By kind, the fewest and the most that a right answer may count: those judged, and all that show at all."""
        most = Counter(one.kind for one in self.objects if one.box is not None)
        least = Counter(one.kind for one in self.judged)
        return {kind: (least[kind], most[kind]) for kind in Kind if most[kind]}

    def related(self, subject: int, kind: RelationKind, target: int) -> bool | None:
        """Whether `subject` is `kind` `target`: None where the margins are too small to tell."""
        if (subject, kind, target) in self.relations:
            return True
        if (target, kind, subject) in self.relations:
            return False
        held = (RelationKind.INSIDE, RelationKind.ON)
        if kind in held and self.objects[subject].judged and self.objects[target].judged:
            return False  # who holds whom is known by construction
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture to be read: one question about it, and its answer."""

    version: int
    seed: int
    index: int
    stratum: Stratum
    kind: FigureKind
    width: int
    height: int
    lines: tuple[str, ...]
    """What is written in it, in reading order."""
    question: str
    answer: str

    @property
    def name(self) -> str:
        """Of its image file."""
        return f"figure-{self.index:04d}.webp"


Picture = Scene | Figure


def to_json(picture: Picture) -> str:
    """One line of JSON; `from_json` gives an equal picture back."""
    kind = "scene" if isinstance(picture, Scene) else "figure"
    return msgspec.json.encode({"image": picture.name, "type": kind, "truth": picture}).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    image: str
    type: str
    truth: msgspec.Raw


def from_json(line: str, *, where: str = "scene") -> Picture:
    """The picture that a line of JSON tells of; `where` is what error messages call the line.

    Raises CorpusError if it is not JSON, lacks something, or contradicts itself.
    """
    try:
        head = msgspec.json.decode(line, type=_Head)
        known: dict[str, type[Scene] | type[Figure]] = {"scene": Scene, "figure": Figure}
        if head.type not in known:
            raise CorpusError(f"{where}: {head.type!r} is no type of picture; known: {', '.join(known)}")
        picture: Picture = msgspec.json.decode(head.truth, type=known[head.type])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:  # a ValidationError is a DecodeError
        raise CorpusError(f"{where}: not the truth of a picture: {error}") from error
    if picture.name != head.image:
        raise CorpusError(f"{where}: the image is called {head.image!r}, but its truth belongs to {picture.name!r}")
    return picture
