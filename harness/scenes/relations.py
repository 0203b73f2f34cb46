"""How the objects of a scene stand to each other, where that is beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from harness.scenes.model import Relation, SceneObject
from harness.scenes.vocabulary import Placement, RelationKind

__all__ = ["MARGIN", "relations"]

MARGIN = 0.03
"""What must lie between two objects for one to be left of, or above, the other: a share of the picture's side."""
_DEPTH = 0.07
"""How much lower an object must touch the ground to be in front of another."""
_ASIDE = 0.25
"""How far to the side an object may be, by its middle, and still be above another."""
_RAISED = frozenset({Placement.AIR, Placement.WALL})


def _root(one: SceneObject, objects: Sequence[SceneObject]) -> SceneObject:
    return one if one.holder is None else _root(objects[one.holder], objects)


def _above(a: SceneObject, b: SceneObject, objects: Sequence[SceneObject], side: int) -> bool:
    """Only what is higher in the room, which what is farther away is not."""
    if a.box is None or b.box is None:
        return False
    if a.placement is Placement.ON and a.holder == b.number:
        return a.box[1] + MARGIN * side <= b.box[1]  # what stands on a chair is not above its back
    upper, lower = _root(a, objects), _root(b, objects)
    boards = upper.placement is Placement.SHELF and lower.placement is Placement.SHELF
    if not (boards or (upper.placement in _RAISED and lower.placement is Placement.GROUND)):
        return False
    aside = abs(a.box[0] + a.box[2] - b.box[0] - b.box[2]) / 2
    return a.box[3] + MARGIN * side <= b.box[1] and upper.number != lower.number and aside <= _ASIDE * side


def _holds(kind: RelationKind, a: SceneObject, b: SceneObject, objects: Sequence[SceneObject], side: int) -> bool:
    if a.box is None or b.box is None:
        return False
    match kind:
        case RelationKind.LEFT_OF:
            return a.box[2] + MARGIN * side <= b.box[0]
        case RelationKind.ABOVE:
            return _above(a, b, objects, side)
        case RelationKind.IN_FRONT_OF:
            apart = _root(a, objects).number != _root(b, objects).number
            return a.base is not None and b.base is not None and apart and a.base - b.base >= _DEPTH * side
        case RelationKind.INSIDE:
            return a.placement is Placement.INSIDE and a.holder == b.number
        case RelationKind.ON:
            return a.placement is Placement.ON and a.holder == b.number


def relations(objects: Sequence[SceneObject], side: int) -> tuple[Relation, ...]:
    """All relations with clear margins between objects that are judged, in a picture `side` pixels high and wide."""
    return tuple(
        Relation(subject=a.number, kind=kind, target=b.number)
        for a, b in permutations([one for one in objects if one.judged], 2)
        for kind in RelationKind
        if _holds(kind, a, b, objects, side)
    )
