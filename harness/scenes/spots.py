"""Which object or character of a picture each part of a true answer is about, and where that stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.scenes.drawing.lettering import Letter
from harness.scenes.model import Scene
from harness.scenes.tasks.closed import COLOUR
from harness.scenes.tasks.describing import ATTRIBUTES, CAPTION, OBJECTS, by_kind
from harness.scenes.tasks.detecting import DETECTION
from harness.scenes.tasks.lexicon import plural
from harness.scenes.tasks.naming import name_of
from harness.scenes.tasks.reading import OCR
from harness.scenes.tasks.relating import SPATIAL
from harness.scenes.tasks.task import Question
from harness.scenes.vocabulary import RelationKind

__all__ = ["Anchors", "Spot", "spots"]

Anchors = Sequence[tuple[float, float] | None]
"""By number of object, a pixel that shows it, across and down; None if none does."""


class Spot(NamedTuple):
    """Characters `begin` to `end` of a true answer, and the pixel where what they say can be seen."""

    begin: int
    end: int
    across: float
    down: float


def spots(question: Question, anchors: Anchors, letters: Sequence[Letter]) -> tuple[Spot, ...]:
    """Spots of a question's true answer, in its order; none for what is about no one place, as a sum is."""
    scene = question.picture
    if not isinstance(scene, Scene):
        return ()
    if question.task == OCR.name:
        return tuple(_copied(question.target, letters))
    found = [(begin, end, anchors[number]) for begin, end, number in _about(question, scene)]
    return tuple(Spot(begin, end, *at) for begin, end, at in found if at is not None)


def _copied(text: str, letters: Sequence[Letter]) -> Iterator[Spot]:
    """The letters of a text one by one, where they are all there."""
    places = [at for at, character in enumerate(text) if not character.isspace()]
    if [text[at] for at in places] == [one.character for one in letters]:
        for at, letter in zip(places, letters, strict=True):
            yield Spot(at, at + 1, *letter.middle)


def _about(question: Question, scene: Scene) -> Iterator[tuple[int, int, int]]:
    """Where parts of an answer begin and end, and the number of the object that each is about."""
    groups = by_kind(scene)
    if question.task in (ATTRIBUTES.name, DETECTION.name):
        numbers = [one.number for ones in groups.values() for one in ones]
        for (begin, end), number in zip(_lines(question.target), numbers, strict=True):
            yield begin, end, number
    elif question.task == OBJECTS.name:
        for (begin, end), ones in zip(_lines(question.target), groups.values(), strict=True):
            yield begin, end, ones[0].number
    elif question.task == COLOUR.name:
        yield 0, len(question.target), int(question.about[0])
    elif question.task == CAPTION.name:
        cursor = question.target.find(" with ") + 6
        for kind, ones in groups.items():
            noun = kind.value if len(ones) == 1 else plural(kind.value)
            end = question.target.index(noun, cursor) + len(noun)
            yield cursor, end, ones[0].number
            cursor = end
    elif question.task == SPATIAL.name:
        numbered = {name_of(scene, one): one.number for one in scene.judged}
        for begin, end in _lines(question.target):
            line = question.target[begin:end]
            between = next(f" {relation} " for relation in RelationKind if f" {relation} " in line)
            first, _, second = line.partition(between)
            yield begin, begin + len(first), numbered[first]
            yield end - len(second), end, numbered[second]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line begins, and where it ends with its line feed left out."""
    begin = 0
    for line in text.splitlines():
        yield begin, begin + len(line)
        begin += len(line) + 1
