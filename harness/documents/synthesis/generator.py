"""One document from (seed, index): content, layout, page, picture, truth and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil, floor
from random import Random
from types import MappingProxyType

import numpy as np
from PIL import Image

from harness.documents.synthesis.content import CONTENT
from harness.documents.synthesis.degradation import Stratum, degrade
from harness.documents.synthesis.facts import DocumentKind, Facts
from harness.documents.synthesis.geometry import Homography
from harness.documents.synthesis.layouts import LAYOUTS, Layout, Look
from harness.documents.synthesis.page import MIN_SIZE, Box, Page, Run
from harness.documents.synthesis.scrambling import scramble
from harness.documents.synthesis.typefaces import Colour, Typeface
from harness.errors import DocvlmError
from harness.schema import LIST_SEPARATOR

__all__ = ["GENERATOR_VERSION", "Composition", "SynthesisError", "SynthesizedDocument", "compose", "generate", "plan"]

GENERATOR_VERSION = 1
"""Part of every seed: raise it whenever the same seed would give another document."""

_ACCENTS: tuple[Colour, ...] = (
    (26, 26, 28),
    (24, 62, 112),
    (16, 92, 84),
    (122, 30, 44),
    (70, 46, 110),
    (40, 84, 40),
    (156, 74, 18),
    (60, 72, 88),
)

# how large a face looks at the same em: what the sizes of the layouts are multiplied by
_OPTICAL: Mapping[Typeface, float] = MappingProxyType(
    {
        Typeface.DEJAVU_SANS: 0.92,
        Typeface.DEJAVU_SERIF: 0.92,
        Typeface.DEJAVU_MONO: 0.92,
        Typeface.SOURCE_SANS: 1.1,
        Typeface.SOURCE_SERIF: 1.06,
        Typeface.CALADEA: 1.08,
    }
)


class SynthesisError(DocvlmError, RuntimeError):
    """A layout did not print what the document says: a defect of the generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizedDocument:
    """A document with its truth, and where each character of it is in the picture."""

    seed: int
    index: int
    kind: DocumentKind
    layout: str
    stratum: Stratum
    typeface: Typeface
    truth: Mapping[str, str | None]
    """All 25 fields in schema order; None where the document does not carry the field."""
    image: Image.Image
    """The picture as any reader of the file sees it; mode P, L or RGB by stratum."""
    runs: Sequence[Run]
    """All printed text in page pixels."""
    transform: Homography
    """From page pixels to image pixels."""
    jpeg: bytes | None = None

    @property
    def name(self) -> str:
        """File name: the kind, the index, and the format of the stratum."""
        return f"{self.kind}-{self.index:04d}.{'png' if self.jpeg is None else 'jpg'}"

    def encoded(self) -> bytes:
        """The image file: PNG for clean pages, JPEG for the others."""
        if self.jpeg is not None:
            return self.jpeg
        buffer = BytesIO()
        self.image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def boxes(self) -> dict[str, list[list[int]]]:
        """Pixel boxes [left, top, right, bottom] in the image by field: one for each printed line of each entry."""
        found: dict[str, list[tuple[int, list[int]]]] = {}
        for run in self.runs:
            if run.field is not None and not run.repeat:
                found.setdefault(run.field, []).append((run.entry, self._pixels(run.box)))
        return {
            name: [box for _, box in sorted(found[name], key=lambda pair: pair[0])]
            for name in self.truth
            if name in found
        }

    def character_boxes(self) -> list[tuple[str, Box, str | None]]:
        """Each printed character that leaves ink, its box in image pixels, and the field that it belongs to."""
        return [
            (character, self.transform.box(box), run.field)
            for run in self.runs
            for character, box in run.character_boxes()
        ]

    def _pixels(self, box: Box) -> list[int]:
        x0, y0, x1, y1 = self.transform.box(box)
        width, height = self.image.size
        return [max(0, floor(x0)), max(0, floor(y0)), min(width, ceil(x1)), min(height, ceil(y1))]


def plan(index: int) -> tuple[Layout, Stratum]:
    """Layout and stratum of document `index`: kinds alternate, layouts cycle within a kind, strata within a layout."""
    kinds = tuple(DocumentKind)
    layouts = LAYOUTS[kinds[index % len(kinds)]]
    round_of_kind = index // len(kinds)
    turn, at = divmod(round_of_kind, len(layouts))
    strata = tuple(Stratum)
    return layouts[at], strata[(turn + at + index) % len(strata)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A document before it is an image: what it says, and where it says it."""

    layout: Layout
    typeface: Typeface
    facts: Facts
    page: Page


def compose(seed: int, index: int, *, layout: Layout | None = None, scrambled: float = 0.0) -> Composition:
    """Draw and lay out document `index` of the series `seed`, in `layout` or the planned one, without rendering it.

    `scrambled` is the share of words in text values that become random letters and digits.
    Raises SynthesisError if the page does not print the truth, UnsupportedError if a type face is not installed.
    """
    layout = layout or plan(index)[0]
    key = _key(seed, index, layout)
    facts = CONTENT[layout.kind](Random(f"{key}/content"), layout.traits)
    if scrambled:
        facts = scramble(facts, Random(f"{key}/scrambled"), scrambled)
    rng = Random(f"{key}/layout")
    typeface = rng.choice(layout.typefaces)
    size = max(MIN_SIZE + 1, round(rng.randint(*layout.sizes) * _OPTICAL.get(typeface, 1.0)))
    accent, colon, shout = rng.choice(_ACCENTS), rng.random() < 0.5, rng.random() < 0.2
    look = Look(typeface=typeface, size=size, accent=accent, colon=colon, shout=shout)
    page = Page(width=rng.randrange(*layout.widths, 4))
    layout.draw(page, facts, look, rng)
    _check(page, facts.truth(), key)
    return Composition(layout=layout, typeface=typeface, facts=facts, page=page)


def generate(
    seed: int, index: int, *, layout: Layout | None = None, stratum: Stratum | None = None, scrambled: float = 0.0
) -> SynthesizedDocument:
    """Draw document `index` of the series `seed`; the same arguments always give the same document.

    `layout` and `stratum` replace what `plan` would choose; `scrambled` is as in `compose`, and raises what it raises.
    """
    composed = compose(seed, index, layout=layout, scrambled=scrambled)
    stratum = stratum or plan(index)[1]
    rng = Random(f"{_key(seed, index, composed.layout)}/{stratum}")
    noise = np.random.Generator(np.random.PCG64(rng.getrandbits(128)))
    degraded = degrade(composed.page.raster(), stratum, rng, noise)
    return SynthesizedDocument(
        seed=seed,
        index=index,
        kind=composed.layout.kind,
        layout=composed.layout.name,
        stratum=stratum,
        typeface=composed.typeface,
        truth=MappingProxyType(composed.facts.truth()),
        image=degraded.image,
        runs=tuple(composed.page.runs),
        transform=degraded.transform,
        jpeg=degraded.jpeg,
    )


def _key(seed: int, index: int, layout: Layout) -> str:
    return f"{GENERATOR_VERSION}/{seed}/{index}/{layout.name}"


def _check(page: Page, truth: Mapping[str, str | None], key: str) -> None:
    """Compare what the page prints under each field with what the document says."""
    printed: dict[str, dict[int, str]] = {}
    for run in page.runs:
        if run.field is not None and not run.repeat:
            lines = printed.setdefault(run.field, {})
            lines[run.entry] = f"{lines[run.entry]} {run.text}" if run.entry in lines else run.text
    values = {name: LIST_SEPARATOR.join(lines[i] for i in sorted(lines)) for name, lines in printed.items()}
    for name, value in truth.items():
        if values.get(name) != value:
            raise SynthesisError(f"document {key}: {name} is {value!r} but the page prints {values.get(name)!r}")
