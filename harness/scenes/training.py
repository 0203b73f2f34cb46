"""What a model learns the tasks from: pictures drawn as training goes, labels by patch, questions with answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.scenes.figures import draw_figure
from harness.scenes.generator import SIDE, DrawnScene, generate
from harness.scenes.model import Picture
from harness.scenes.tasks import TASKS
from harness.scenes.tasks.task import Question
from harness.scenes.vocabulary import Colour, FigureKind, Kind, Setting, Stratum

__all__ = ["COLOUR_CLASSES", "KIND_CLASSES", "PATCH", "SceneExample", "examples", "patch_labels"]

PATCH = 16
"""Pixels of a patch, across and down."""
KIND_CLASSES: Mapping[Kind, int] = MappingProxyType({kind: place for place, kind in enumerate(Kind, 1)})
"""Class of each kind in the labels of patches; 0 is no object."""
COLOUR_CLASSES: Mapping[Colour, int] = MappingProxyType({colour: place for place, colour in enumerate(Colour, 1)})
"""Class of each colour in the labels of patches; 0 is no object."""
_COVERED = 0.25
"""The share of a patch from which an object is what it shows."""
_FIGURES = 0.2
"""Share of pictures that are figures."""
_FIRST_SEED = 7_500_000_000
"""Far from the seeds that folders are drawn with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneExample:
    """One picture as drawn, what its patches show, and everything that can be asked about it."""

    picture: Picture
    pixels: NDArray[np.uint8]
    """(side, side, 3), RGB."""
    kinds: NDArray[np.uint8]
    """(patches, patches): classes of KIND_CLASSES."""
    colours: NDArray[np.uint8]
    """(patches, patches): classes of COLOUR_CLASSES."""
    questions: tuple[Question, ...]
    """Each with its prompt and its target text."""


def patch_labels(drawn: DrawnScene, patch: int = PATCH) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Kind and colour of the object that covers most of each patch, (patches, patches) each; 0 where none covers much.

    Pixels beyond the last whole patch are left out.
    """
    objects = drawn.scene.objects
    rows, columns = (side // patch for side in drawn.owners.shape)
    cut = drawn.owners[: rows * patch, : columns * patch].astype(np.int64)
    places = (np.arange(rows * patch) // patch)[:, None] * columns + (np.arange(columns * patch) // patch)[None, :]
    classes = len(objects) + 1
    covered = np.bincount((places * classes + cut).ravel(), minlength=rows * columns * classes)
    covered = covered.reshape(rows * columns, classes)[:, 1:]
    kinds, colours = (np.zeros(rows * columns, dtype=np.uint8) for _ in range(2))
    if objects:
        most = covered.argmax(axis=1)
        enough = covered.max(axis=1) >= _COVERED * patch * patch
        kinds[enough] = np.array([KIND_CLASSES[one.kind] for one in objects], dtype=np.uint8)[most[enough]]
        colours[enough] = np.array([COLOUR_CLASSES[one.colour] for one in objects], dtype=np.uint8)[most[enough]]
    return kinds.reshape(rows, columns), colours.reshape(rows, columns)


def _asked(picture: Picture) -> tuple[Question, ...]:
    return tuple(question for task in TASKS.values() for question in task.ask(picture))


def _figure_example(seed: int, index: int, side: int, patch: int, rng: Random) -> SceneExample:
    drawn = draw_figure(seed, index, side=side, stratum=rng.choice(tuple(Stratum)), kind=rng.choice(tuple(FigureKind)))
    none = np.zeros((side // patch, side // patch), dtype=np.uint8)
    return SceneExample(
        picture=drawn.figure,
        pixels=_pixels(drawn.image),
        kinds=none,
        colours=none,
        questions=_asked(drawn.figure),
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
            yield _figure_example(_FIRST_SEED + seed, index, side, patch, rng)
        else:
            drawn = generate(
                _FIRST_SEED + seed, index, side=side, stratum=rng.choice(strata), setting=rng.choice(tuple(Setting))
            )
            kinds, colours = patch_labels(drawn, patch)
            yield SceneExample(
                picture=drawn.scene,
                pixels=_pixels(drawn.image),
                kinds=kinds,
                colours=colours,
                questions=_asked(drawn.scene),
            )
        index += step
