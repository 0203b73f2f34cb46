"""Pages that spell their own answer: a fake backend reads its pixels, as a real one would read ink."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.documents import load_corpus

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Page", "write_pages"]

_CORPUS = Path(__file__).parents[2] / "fixtures" / "corpus"
_SIDE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page spells: which of the documents it is, from 0, and the value of each field that it carries."""

    number: int
    fields: Mapping[str, str | None]
    """By name, the value printed; None where the page does not carry the field."""

    @classmethod
    def from_image(cls, image: Image) -> Self | None:
        """Decode an image; None for a white one, which spells nothing."""
        spelt = image.tobytes().split(b"\xff", 1)[0]
        return cls(**json.loads(spelt)) if spelt else None

    def save(self, path: Path) -> None:
        """Write the page as an image whose first pixels spell it in ASCII and whose other pixels are white."""
        from PIL import Image as pillow

        spelt = json.dumps({"number": self.number, "fields": dict(self.fields)}).encode("ascii")
        pillow.frombytes("RGB", (_SIDE, _SIDE), spelt.ljust(3 * _SIDE * _SIDE, b"\xff")).save(path)


def write_pages(folder: Path, count: int) -> None:
    """Write pages, and their ground truth, that carry what `count` of the bundled documents do."""
    folder.mkdir(parents=True)
    lines = []
    for number, document in enumerate(load_corpus(_CORPUS).sample(count).documents):
        page = Page(number=number, fields=document.truth)
        page.save(folder / f"page-{number:03d}.png")
        lines.append(json.dumps({"image": f"page-{number:03d}.png", "fields": dict(document.truth)}) + "\n")
    (folder / "ground_truth.jsonl").write_text("".join(lines), encoding="ascii")
