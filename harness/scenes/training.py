"""What a model learns the tasks from: pictures drawn as training goes, labels by patch, questions with answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.scenes.drawing.lettering import Letter
from harness.scenes.figures import draw_figure
from harness.scenes.generator import SIDE, DrawnScene, generate
from harness.scenes.model import Picture
from harness.scenes.spots import Anchors, Spot, spots
from harness.scenes.tasks import TASKS
from harness.scenes.tasks.describing import by_kind
from harness.scenes.tasks.task import Question
from harness.scenes.vocabulary import Colour, FigureKind, Kind, Pattern, Setting, Stratum

__all__ = [
    "COLOUR_CLASSES",
    "COLUMNS",
    "FIRST_SEED",
    "KIND_CLASSES",
    "LETTER_CLASSES",
    "MOST_JUDGED",
    "PATCH",
    "PATTERN_CLASSES",
    "ROWS",
    "Asked",
    "PatchLabels",
    "SceneExample",
    "examples",
    "letter_grid",
    "object_labels",
    "patch_labels",
]

PATCH = 16
"""Pixels of a patch, across and down."""
COLUMNS, ROWS = 3, 2
"""Into how many parts a patch is divided to say which character it shows where."""
KIND_CLASSES: Mapping[Kind, int] = MappingProxyType({kind: place for place, kind in enumerate(Kind, 1)})
"""Class of each kind in the labels of patches; 0 is no object."""
COLOUR_CLASSES: Mapping[Colour, int] = MappingProxyType({colour: place for place, colour in enumerate(Colour, 1)})
"""Class of each colour in the labels of patches; 0 is no object."""
PATTERN_CLASSES: Mapping[Pattern, int] = MappingProxyType({pattern: place for place, pattern in enumerate(Pattern, 1)})
"""Class of each pattern in the labels of patches; 0 is no object."""
LETTER_CLASSES: Mapping[str, int] = MappingProxyType({chr(code): code - 32 for code in range(33, 127)} | {"×": 95})
"""Class of each character in the labels of parts of patches; 0 is nothing."""
MOST_JUDGED = 12
"""Objects of a scene."""
FIRST_SEED = 7_500_000_000
"""Far from the seeds that folders are drawn with."""
_COVERED = 0.25
"""The share of a patch from which an object is what it shows."""
_FULL = 0.9
"""The share of a patch from which more of an object does not make it stand for it any better."""
_NEARNESS = 0.01
"""What a patch's distance from the middle of an object counts beside that share."""
_FIGURES = 0.2
"""Share of pictures that are figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLabels:
    """What each patch of a scene shows. Classes are 0, and boxes too, where no object covers much of a patch."""

    kinds: NDArray[np.uint8]
    """(patches, patches): classes of KIND_CLASSES."""
    colours: NDArray[np.uint8]
    """(patches, patches): classes of COLOUR_CLASSES."""
    patterns: NDArray[np.uint8]
    """(patches, patches): classes of PATTERN_CLASSES."""
    ranks: NDArray[np.uint8]
    """(patches, patches): at one patch of each judged object its place, from 1, in the order of true answers."""
    boxes: NDArray[np.uint8]
    """(patches, patches, 4): left, top, right, bottom of the object's box, in 255ths of the picture."""
    letters: NDArray[np.uint8]
    """(patches, patches, ROWS * COLUMNS): classes of LETTER_CLASSES."""

    @classmethod
    def none(cls, patches: int, letters: NDArray[np.uint8]) -> PatchLabels:
        """Of a picture without objects."""
        empty = np.zeros((patches, patches), dtype=np.uint8)
        boxes = np.zeros((patches, patches, 4), dtype=np.uint8)
        return cls(kinds=empty, colours=empty, patterns=empty, ranks=empty, boxes=boxes, letters=letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, and where the parts of its true answer can be seen."""

    question: Question
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneExample:
    """One picture as drawn, what its patches show, and everything that can be asked about it."""

    picture: Picture
    pixels: NDArray[np.uint8]
    """(side, side, 3), RGB."""
    labels: PatchLabels
    asked: tuple[Asked, ...]
    """Every question with its prompt and its target text."""

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """(patches, patches): classes of KIND_CLASSES."""
        return self.labels.kinds

    @property
    def colours(self) -> NDArray[np.uint8]:
        """(patches, patches): classes of COLOUR_CLASSES."""
        return self.labels.colours

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions alone."""
        return tuple(one.question for one in self.asked)


def _covered(drawn: DrawnScene, patch: int) -> NDArray[np.int64]:
    """Pixels of each patch that each object covers: (rows, columns, objects)."""
    rows, columns = (side // patch for side in drawn.owners.shape)
    cut = drawn.owners[: rows * patch, : columns * patch].astype(np.int64)
    places = (np.arange(rows * patch) // patch)[:, None] * columns + (np.arange(columns * patch) // patch)[None, :]
    classes = len(drawn.scene.objects) + 1
    covered = np.bincount((places * classes + cut).ravel(), minlength=rows * columns * classes)
    return covered.reshape(rows, columns, classes)[..., 1:]


def _owners(covered: NDArray[np.int64], patch: int) -> NDArray[np.int64]:
    """By patch, the number of the object that covers most of it, plus 1; 0 where none covers much."""
    if not covered.shape[2]:
        return np.zeros(covered.shape[:2], dtype=np.int64)
    enough = covered.max(axis=2) >= _COVERED * patch * patch
    found: NDArray[np.int64] = np.where(enough, covered.argmax(axis=2) + 1, 0)
    return found


def _anchors(covered: NDArray[np.int64], patch: int) -> Anchors:
    """By object, the middle of the patch that shows as much of it as any, nearest the middle of what shows of it."""
    rows, columns = np.indices(covered.shape[:2])
    found: list[tuple[float, float] | None] = []
    for number in range(covered.shape[2]):
        own = covered[..., number]
        if not own.any():
            found.append(None)
            continue
        across, down = ((own * axis).sum() / own.sum() for axis in (columns, rows))
        away = np.hypot(columns - across, rows - down)
        row, column = divmod(
            int((np.minimum(own / (patch * patch), _FULL) - _NEARNESS * away).argmax()), covered.shape[1]
        )
        found.append(((column + 0.5) * patch, (row + 0.5) * patch))
    return found


def patch_labels(drawn: DrawnScene, patch: int = PATCH) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Kind and colour of the object that covers most of each patch, (patches, patches) each; 0 where none covers much.

    Pixels beyond the last whole patch are left out.
    """
    labels, _ = object_labels(drawn, patch)
    return labels.kinds, labels.colours


def object_labels(drawn: DrawnScene, patch: int = PATCH) -> tuple[PatchLabels, Anchors]:
    """What each patch shows, and by object the middle of the patch that stands for it; None for one that is hidden.

    Pixels beyond the last whole patch are left out.
    """
    objects, covered = drawn.scene.objects, _covered(drawn, patch)
    owners = _owners(covered, patch)
    anchors = _anchors(covered, patch)

    def table(values: Sequence[int] | Sequence[tuple[int, ...]]) -> NDArray[np.uint8]:
        found = np.array(values, dtype=np.uint8)
        return np.concatenate([np.zeros_like(found[:1]), found]) if len(found) else np.zeros(1, dtype=np.uint8)

    ranks = np.zeros(owners.shape, dtype=np.uint8)
    ordered = [one for ones in by_kind(drawn.scene).values() for one in ones]
    for rank, one in enumerate(ordered, 1):
        if (anchor := anchors[one.number]) is not None:
            ranks[int(anchor[1]) // patch, int(anchor[0]) // patch] = rank
    height, width = drawn.owners.shape
    shares = [
        (0, 0, 0, 0)
        if one.box is None
        else tuple(round(255 * v / side) for v, side in zip(one.box, (width, height, width, height), strict=True))
        for one in objects
    ]
    boxes = table(shares)[owners] if objects else np.zeros((*owners.shape, 4), dtype=np.uint8)
    labels = PatchLabels(
        kinds=table([KIND_CLASSES[one.kind] for one in objects])[owners],
        colours=table([COLOUR_CLASSES[one.colour] for one in objects])[owners],
        patterns=table([PATTERN_CLASSES[one.pattern] for one in objects])[owners],
        ranks=ranks,
        boxes=boxes,
        letters=letter_grid(drawn.letters, owners.shape[0], patch),
    )
    return labels, anchors


def letter_grid(letters: Sequence[Letter], patches: int, patch: int = PATCH) -> NDArray[np.uint8]:
    """Which character each part of each patch shows: (patches, patches, ROWS * COLUMNS).

    A character counts where its middle is; one that has no class is left out.
    """
    found = np.zeros((patches, patches, ROWS * COLUMNS), dtype=np.uint8)
    for letter in letters:
        across, down = letter.middle
        column, row = int(across * COLUMNS // patch), int(down * ROWS // patch)
        if 0 <= column < patches * COLUMNS and 0 <= row < patches * ROWS:
            part = row % ROWS * COLUMNS + column % COLUMNS
            found[row // ROWS, column // COLUMNS, part] = LETTER_CLASSES.get(letter.character, 0)
    return found


def _asked(picture: Picture, anchors: Anchors, letters: Sequence[Letter]) -> tuple[Asked, ...]:
    return tuple(
        Asked(question=question, spots=spots(question, anchors, letters))
        for task in TASKS.values()
        for question in task.ask(picture)
    )


def _figure_example(seed: int, index: int, side: int, patch: int, rng: Random) -> SceneExample:
    drawn = draw_figure(seed, index, side=side, stratum=rng.choice(tuple(Stratum)), kind=rng.choice(tuple(FigureKind)))
    return SceneExample(
        picture=drawn.figure,
        pixels=_pixels(drawn.image),
        labels=PatchLabels.none(side // patch, letter_grid(drawn.letters, side // patch, patch)),
        asked=_asked(drawn.figure, (), drawn.letters),
    )


def _scene_example(drawn: DrawnScene, patch: int) -> SceneExample:
    labels, anchors = object_labels(drawn, patch)
    return SceneExample(
        picture=drawn.scene,
        pixels=_pixels(drawn.image),
        labels=labels,
        asked=_asked(drawn.scene, anchors, drawn.letters),
    )


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def examples(
    *,
    seed: int,
    start: int = 0,
    step: int = 1,
    side: int = SIDE,
    patch: int = PATCH,
    strata: Sequence[Stratum] = tuple(Stratum),
) -> Iterator[SceneExample]:
    """Examples `start`, `start + step`, ... of series `seed`, in random strata and settings; never ends.

    No picture is one that a folder of a seed below 7.5 thousand million holds.
    """
    index = start
    while True:
        rng = Random(f"scenes/{seed}/{index}")
        if rng.random() < _FIGURES:
            yield _figure_example(FIRST_SEED + seed, index, side, patch, rng)
        else:
            stratum, setting = rng.choice(strata), rng.choice(tuple(Setting))
            yield _scene_example(generate(FIRST_SEED + seed, index, side=side, stratum=stratum, setting=setting), patch)
        index += step
