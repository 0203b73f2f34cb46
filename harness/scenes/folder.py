"""A folder of pictures with their truth: writing one, and reading one whose files and truth agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import PIL
from PIL import Image

from harness.errors import CorpusError, ImageError
from harness.scenes.figures import DrawnFigure, draw_figure
from harness.scenes.generator import GENERATOR_VERSION, SIDE, DrawnScene, encoded, generate
from harness.scenes.model import Figure, Picture, Scene, from_json, to_json

__all__ = ["RECIPE", "TRUTH", "SceneFolder", "draw_all", "load_scenes", "write_scenes"]

TRUTH = "scenes.jsonl"
RECIPE = "scenes.json"
_SUFFIX = ".webp"
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFolder:
    """Pictures in the order of their truth, and where their files are."""

    root: Path
    pictures: Sequence[Picture]
    identity: str
    """SHA-256 over all image bytes and truth."""

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The pictures of objects."""
        return tuple(p for p in self.pictures if isinstance(p, Scene))

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The pictures to be read."""
        return tuple(p for p in self.pictures if isinstance(p, Figure))

    def path(self, picture: Picture) -> Path:
        """The image file of a picture."""
        return self.root / picture.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    image: str
    sha256: str


def draw_all(seed: int, count: int, figures: int, side: int = SIDE) -> Iterator[tuple[Picture, Image.Image]]:
    """The first `count` scenes and the first `figures` figures of a series."""
    drawn: Iterable[DrawnScene | DrawnFigure] = chain(
        (generate(seed, i, side=side) for i in range(count)), (draw_figure(seed, i, side=side) for i in range(figures))
    )
    for one in drawn:
        yield (one.scene if isinstance(one, DrawnScene) else one.figure), one.image


def _room(out: Path, force: bool) -> None:
    """Make `out` a folder without pictures; with `force`, remove those of an earlier run, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    left = [p for p in out.iterdir() if p.name in (TRUTH, RECIPE) or p.suffix == _SUFFIX]
    others = [p for p in out.iterdir() if p not in left and p.name != "README.md"]
    if left and not (out / TRUTH).is_file():
        raise CorpusError(f"{out}: holds pictures that are of no drawn folder; name another one")
    if others or (left and not force):
        raise CorpusError(f"{out}: the folder is not empty; name another one, or give --force to replace scenes in it")
    for path in left:
        path.unlink()


def write_scenes(
    pictures: Iterable[tuple[Picture, Image.Image]], out: Path, *, recipe: dict[str, object], force: bool = False
) -> int:
    """Write pictures and their truth into the folder `out`; returns the bytes of all images.

    `recipe` goes into scenes.json with the versions that decide the pixels. Raises CorpusError if `out` holds files
    and `force` is not given, or cannot be written.
    """
    total = 0
    try:
        _room(out, force)
        with (out / TRUTH).open("w", encoding="utf-8") as lines:
            for picture, image in pictures:
                content = encoded(image)
                (out / picture.name).write_bytes(content)
                row = {"sha256": hashlib.sha256(content).hexdigest(), **json.loads(to_json(picture))}
                lines.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
                total += len(content)
        versions = {"generator": GENERATOR_VERSION, "pillow": PIL.__version__, "numpy": np.__version__}
        (out / RECIPE).write_text(json.dumps({**recipe, **versions}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"{out}: cannot write the scenes: {error.strerror}: {error.filename}") from error
    return total


def _picture(root: Path, line: str, where: str, problems: list[str]) -> Picture | None:
    """The picture of one line, if its file is the one that the line was written for."""
    from harness.documents.images import open_image

    try:
        picture = from_json(line, where=where)
        head = msgspec.json.decode(line, type=_Head)
    except CorpusError as error:
        problems.append(str(error))
        return None
    except msgspec.DecodeError as error:
        problems.append(f"{where}: {error}")
        return None
    path = root / picture.name
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != head.sha256:
            problems.append(f"{where}: {picture.name} is not the file that the truth was written for")
            return None
        image = open_image(path)
    except OSError as error:
        problems.append(f"{where}: {picture.name}: cannot be read: {error.strerror}")
        return None
    except ImageError as error:
        problems.append(f"{where}: {error}")
        return None
    if image.size != (picture.width, picture.height):
        problems.append(f"{where}: {picture.name} has {image.size} pixels, its truth {picture.width, picture.height}")
        return None
    return picture


def load_scenes(root: Path) -> SceneFolder:
    """Read a folder that `write_scenes` made.

    Raises CorpusError that names each file at fault: truth that is missing, malformed or given twice, and images that
    are missing, changed, of another size, or not in the truth.
    """
    truth = root / TRUTH
    try:
        content = truth.read_text(encoding="utf-8")
        images = {p.name for p in root.iterdir() if p.suffix == _SUFFIX}
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{truth}: cannot be read: {error}; draw scenes with python -m harness.scenes") from error
    problems: list[str] = []
    found: dict[str, Picture] = {}
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{truth}, line {number}"
        picture = _picture(root, line, where, problems)
        if picture is not None and picture.name in found:
            problems.append(f"{where}: {picture.name} is named twice")
        elif picture is not None:
            found[picture.name] = picture
    if not content.strip():
        problems.append(f"{truth}: holds no picture")
    elif not problems:
        problems += [f"{root / name}: is not in {TRUTH}" for name in sorted(images - set(found))]
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:_SHOWN_PROBLEMS])
        more = f"\n  (+{len(problems) - _SHOWN_PROBLEMS} more)" if len(problems) > _SHOWN_PROBLEMS else ""
        raise CorpusError(f"{root}: the pictures and their truth disagree:{shown}{more}")
    return SceneFolder(root=root, pictures=tuple(found.values()), identity=hashlib.sha256(content.encode()).hexdigest())
