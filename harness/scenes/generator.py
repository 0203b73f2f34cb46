"""One scene from (seed, index): what is in it, where, its picture, and its truth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.scenes.difficulty import boards_for, sign_style
from harness.scenes.drawing.lettering import Letter
from harness.scenes.drawing.render import Rendered, draw_items
from harness.scenes.drawing.settings import backdrop
from harness.scenes.layout import Item, Room
from harness.scenes.model import Box, Scene, SceneObject
from harness.scenes.relations import relations
from harness.scenes.vocabulary import Light, Setting, Stratum

__all__ = ["GENERATOR_VERSION", "SIDE", "DrawnScene", "encoded", "generate", "plan", "random_numbers"]

GENERATOR_VERSION = 1
"""Part of every seed: raise it whenever the same seed would give another picture."""
SIDE = 448
"""Height and width of a picture in pixels, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnScene:
    """A scene with its picture."""

    scene: Scene
    image: Image.Image
    """RGB."""
    owners: NDArray[np.uint8]
    """(height, width): 0 where no object shows, else the number of the object plus 1."""
    letters: Sequence[Letter]
    """What is written on a sign and not hidden, character by character."""


def encoded(image: Image.Image) -> bytes:
    """The image file: WebP without loss, so that every reader sees the pixels that were drawn."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=90, method=4)
    return buffer.getvalue()


def random_numbers(seed: int, index: int, what: str) -> np.random.Generator:
    """The generator of picture `index` of the series `seed`; any whole numbers will do."""
    digest = hashlib.sha256(f"{GENERATOR_VERSION}/{seed}/{index}/{what}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def plan(index: int) -> tuple[Stratum, Setting]:
    """Stratum and setting of scene `index`: strata alternate, and each goes through all settings in turn."""
    strata, settings = tuple(Stratum), tuple(Setting)
    turn, at = divmod(index, len(strata))
    return strata[at], settings[(turn + at) % len(settings)]


def _around(mask: NDArray[np.bool_]) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _clipped(item: Item, side: int) -> Box:
    left, top, right, bottom = (round(v * side) for v in item.extent)
    return max(0, left), max(0, top), min(side, max(right, left + 4)), min(side, max(bottom, top + 4))


def _objects(items: list[Item], drawn: Rendered, side: int) -> tuple[SceneObject, ...]:
    counts = np.bincount(drawn.owners.ravel(), minlength=len(items) + 1)
    return tuple(
        SceneObject(
            number=number,
            kind=item.kind,
            colour=item.colour,
            pattern=item.pattern,
            size=item.size,
            placement=item.placement,
            holder=item.holder,
            extent=_clipped(item, side),
            box=_around(drawn.owners == number + 1) if counts[number + 1] else None,
            pixels=int(counts[number + 1]),
            visible=round(min(1.0, int(counts[number + 1]) / drawn.totals[number]), 4),
            base=None if item.base is None else round(item.base * side),
            text=item.text,
        )
        for number, item in enumerate(items)
    )


def generate(
    seed: int, index: int, *, side: int = SIDE, stratum: Stratum | None = None, setting: Setting | None = None
) -> DrawnScene:
    """Draw scene `index` of the series `seed`; the same arguments always give the same scene.

    `side` is the height and width in pixels, at least 224; `stratum` and `setting` replace what `plan` would choose.
    Raises ValueError for a smaller picture, UnsupportedError if the type face of signs is not installed.
    """
    if side < SIDE // 2:
        raise ValueError(f"a scene needs at least {SIDE // 2} pixels a side, not {side}")
    planned = plan(index)
    stratum, setting = stratum or planned[0], setting or planned[1]
    rng = random_numbers(seed, index, f"{stratum}/{setting}")
    lights = tuple(Light)
    light = Light.DAY if setting is Setting.SHELF else lights[int(rng.integers(len(lights)))]
    boards, window_left = boards_for(setting, stratum), bool(rng.random() < 0.5)
    image = backdrop(setting, light, side, rng, window_left=window_left, boards=boards)
    room = Room(setting, stratum, side, rng, window_left, boards, np.asarray(image))
    room.fill()
    drawn = draw_items(image, room.items, light, sign_style(side, stratum))
    objects = _objects(room.items, drawn, side)
    scene = Scene(
        version=GENERATOR_VERSION,
        seed=seed,
        index=index,
        stratum=stratum,
        setting=setting,
        light=None if setting is Setting.SHELF else light,
        width=side,
        height=side,
        objects=objects,
        relations=relations(objects, side),
    )
    return DrawnScene(scene=scene, image=drawn.image, owners=drawn.owners, letters=drawn.letters)
