"""How objects are called so that each name fits one only, and which objects a name fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from harness.scenes.drawing.palette import second_colour
from harness.scenes.model import Scene, SceneObject
from harness.scenes.tasks.reading_text import Mention
from harness.scenes.vocabulary import Colour, Kind, Pattern, Setting

__all__ = ["AMBIENT", "colour_fits", "fitting", "name_of", "right_kinds", "wrong_kinds"]

AMBIENT: Mapping[Setting, frozenset[Kind]] = MappingProxyType(
    {Setting.DESK: frozenset({Kind.TABLE}), Setting.KITCHEN: frozenset({Kind.TABLE})}
)
"""What the setting itself may be taken for: naming it is neither right nor wrong."""


def name_of(scene: Scene, one: SceneObject) -> str | None:
    """The shortest name that fits only this object of the scene: `cup`, `red cup`, `striped red cup`; else None."""
    alike = [other for other in scene.objects if other.kind is one.kind and other.number != one.number]
    if not alike:
        return one.kind.value
    alike = [other for other in alike if other.colour is one.colour]
    if not alike:
        return f"{one.colour} {one.kind}"
    if all(other.pattern is not one.pattern for other in alike):
        return f"{one.pattern} {one.colour} {one.kind}"
    return None


def colour_fits(colours: Iterable[str], colour: Colour, pattern: Pattern) -> bool | None:
    """Whether the colours named are those of an object; None if none is named.

    The object's own must be among them; besides it may stand only what its pattern adds, for which black and white
    objects have a grey.
    """
    named = set(colours)
    if not named:
        return None
    second = second_colour(colour)
    extra = {"grey" if second is None else second.value} if pattern is not Pattern.SOLID else set()
    return colour.value in named and named <= {colour.value} | extra


def fitting(scene: Scene, mention: Mention) -> list[SceneObject]:
    """The objects that a mention may mean: of its kind, and of its colours and pattern if there are any such."""
    found = [one for one in scene.objects if one.kind is mention.kind and one.box is not None]
    if mention.colours:
        found = [one for one in found if colour_fits(mention.colours, one.colour, one.pattern)] or found
    if mention.pattern is not None:
        found = [one for one in found if one.pattern is mention.pattern] or found
    return found


def right_kinds(scene: Scene) -> frozenset[Kind]:
    """The kinds that an answer must name."""
    return frozenset(one.kind for one in scene.judged)


def wrong_kinds(scene: Scene) -> frozenset[Kind]:
    """The kinds that are not in the picture at all, not even partly hidden, nor could the setting be taken for one."""
    shown = {one.kind for one in scene.objects if one.box is not None}
    return frozenset(Kind) - shown - AMBIENT.get(scene.setting, frozenset())
