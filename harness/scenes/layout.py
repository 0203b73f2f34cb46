"""Where things are put: positions, sizes and colours of the objects of one scene, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from harness.scenes.difficulty import difficulty, sign_style
from harness.scenes.drawing.kinds import ART
from harness.scenes.drawing.palette import COLOURS, distance
from harness.scenes.drawing.settings import BANDS
from harness.scenes.pools import AIRBORNE, CARRIED, CONTENTS, FLOATING, GROUPED, KINDS, sign_text
from harness.scenes.vocabulary import Colour, Kind, Pattern, Placement, Setting, Size, Stratum

__all__ = ["Item", "Room"]

Extent = tuple[float, float, float, float]


_SCALE: Mapping[Size, float] = MappingProxyType({Size.SMALL: 0.76, Size.MEDIUM: 1.0, Size.LARGE: 1.3})
_TRIES = 30
_GAP = 0.015
"""Between things that must not touch, as a share of the picture's side."""
_APART = 145.0
"""How far an object's colour must be from what is behind it (`distance`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to draw. Positions are shares of the picture's side."""

    kind: Kind
    colour: Colour
    pattern: Pattern
    size: Size
    placement: Placement
    extent: Extent
    holder: int | None = None
    base: float | None = None
    text: str | None = None
    post: float = 0.0
    """The share of a sign's height that is its post."""


def _covered(far: Extent, near: Extent) -> float:
    """The share of `far` that `near` covers."""
    across = min(far[2], near[2]) - max(far[0], near[0])
    down = min(far[3], near[3]) - max(far[1], near[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / ((far[2] - far[0]) * (far[3] - far[1]))


def _touch(a: Extent, b: Extent, gap: float) -> bool:
    return a[0] - gap < b[2] and b[0] - gap < a[2] and a[1] - gap < b[3] and b[1] - gap < a[3]


@dataclass(slots=True)
class Room:
    """Fills a setting with things, one by one; `items` are in no order of drawing."""

    setting: Setting
    stratum: Stratum
    side: int
    rng: np.random.Generator
    window_left: bool
    boards: tuple[float, ...]
    behind: NDArray[np.uint8]
    """The backdrop, (side, side, 3)."""
    items: list[Item] = field(default_factory=list)
    _hidden: list[float] = field(default_factory=list)
    _used: set[tuple[Kind, Colour]] = field(default_factory=set)
    _crowd: float = 1.0

    def fill(self) -> None:
        """Put in as many things as the stratum asks for and there is room for: at least two."""
        allowed = difficulty(self.stratum)
        wanted = int(self.rng.integers(allowed.objects[0], allowed.objects[1] + 1))
        self._crowd = 1.16 if wanted <= 4 else 1.02 if wanted <= 7 else 0.9
        if self.rng.random() < allowed.signs:
            self._sign()
        kinds = [KINDS[self.setting][i] for i in self.rng.permutation(len(KINDS[self.setting]))]
        self._holding(kinds, wanted)
        self._group(
            kinds, min(wanted - len(self.items), int(self.rng.integers(allowed.group[0], allowed.group[1] + 1)))
        )
        for kind in kinds * 2:
            if len(self.items) >= wanted:
                break
            self._stand(kind, lost=self.stratum is Stratum.HARD and len(self.items) == wanted - 1)

    def _holding(self, kinds: list[Kind], wanted: int) -> None:
        """Things that hold or carry others."""
        pairs = [k for k in kinds if k in CONTENTS or k in CARRIED]
        for holder in pairs[: 1 if self.stratum is Stratum.EASY else 2]:
            if holder not in kinds or len(self.items) + 2 > wanted or self.rng.random() < 0.25:
                continue
            if (number := self._stand(holder)) is None:
                continue
            kinds.remove(holder)
            pool = CONTENTS.get(holder) or CARRIED[holder]
            content = pool[int(self.rng.integers(len(pool)))]
            if self._held(content, number) and content in kinds and self.rng.random() < 0.7:
                kinds.remove(content)

    def _group(self, kinds: list[Kind], size: int) -> None:
        """Several of one kind, in one colour or many."""
        kind = next((k for k in kinds if k in GROUPED), None)
        if kind is None or size < 2:
            return
        kinds.remove(kind)
        alike = self.rng.random() < 0.4
        first = self._stand(kind)
        for _ in range(size - 1):
            self._stand(kind, like=None if first is None or not alike else self.items[first])

    # --- one thing ---

    def _size(self) -> Size:
        return tuple(Size)[int(self.rng.integers(3))]

    def _pattern(self, kind: Kind) -> Pattern:
        if not ART[kind].patterned or self.rng.random() < difficulty(self.stratum).solid:
            return Pattern.SOLID
        return tuple(Pattern)[1 + int(self.rng.integers(3))]

    def _shape(self, kind: Kind, scale: float) -> tuple[float, float]:
        """Width and height; on a shelf no higher than fits."""
        height = ART[kind].height * scale * self._crowd
        if self.boards:
            height = min(height, (self.boards[1] - self.boards[0] - 0.05) * (0.8 + 0.2 * min(1.0, scale)))
        return height * ART[kind].aspect, height

    def _spot(self, kind: Kind, size: Size) -> tuple[Placement, Extent, float | None]:
        """A random place for one thing of `kind`, free or not."""
        bands, scale, u = BANDS[self.setting], _SCALE[size], float(self.rng.random())
        base: float | None = None
        if self.boards:
            width, height = self._shape(kind, scale * 1.05)
            placement, bottom = Placement.SHELF, self.boards[int(u * len(self.boards))]
        elif kind in AIRBORNE[self.setting] and bands.air:
            width, height = self._shape(kind, scale * 0.82)
            placement, bottom = (
                Placement.AIR,
                max(height + _GAP, bands.air[0] + u * (bands.air[1] - bands.air[0]) + height / 2),
            )
        elif kind is Kind.CLOCK and bands.wall and u < 0.6:
            width, height = self._shape(kind, scale)
            placement, bottom = (
                Placement.WALL,
                max(height + _GAP, bands.wall[0] + u * (bands.wall[1] - bands.wall[0]) + height / 2),
            )
        else:
            low, high = bands.water if bands.water and kind in FLOATING else (bands.back, bands.front)
            base = bottom = low + u * (high - low)
            width, height = self._shape(kind, scale * (0.82 + 0.36 * u))
            placement = Placement.GROUND
        left = 0.04 + float(self.rng.random()) * max(0.0, 0.92 - width)
        return placement, (left, bottom - height, left + width, bottom), base

    def _fits(self, extent: Extent, base: float | None, limit: float, placement: Placement) -> list[float] | None:
        """How much of each thing, and last of the new one, would be hidden; None if the place will not do."""
        if extent[0] < 0.01 or extent[2] > 0.99 or extent[1] < 0.01 or extent[3] > 0.99:
            return None
        if placement in (Placement.AIR, Placement.WALL) and BANDS[self.setting].wall:
            window = (0.0, 0.0, 0.42, 0.3) if self.window_left else (0.58, 0.0, 1.0, 0.3)
            if _touch(extent, window, 0.0):
                return None
        hidden, own = list(self._hidden), 0.0
        allowed = difficulty(self.stratum).hidden
        for number, other in enumerate(self.items):
            if base is None or other.base is None or allowed == 0.0 or other.kind is Kind.SIGN:
                if _touch(extent, other.extent, _GAP):
                    return None
            elif base > other.base:
                hidden[number] += _covered(other.extent, extent)
                if hidden[number] > allowed:
                    return None
            else:
                own += _covered(extent, other.extent)
                if own > limit:
                    return None
            level = base is not None and other.base is not None and abs(base - other.base) < 0.02
            if level and other.holder is None and _touch(extent, other.extent, 0.0):
                return None  # neither would be in front
        return [*hidden, own]

    def _stand(self, kind: Kind, *, like: Item | None = None, lost: bool = False) -> int | None:
        """Put one thing somewhere; returns its number, or None if there is no room or no colour for it."""
        size = like.size if like else self._size()
        limit = 0.9 if lost else difficulty(self.stratum).hidden
        for _ in range(_TRIES):
            placement, extent, base = self._spot(kind, size)
            hidden = self._fits(extent, base, limit, placement)
            if hidden is None or (lost and hidden[-1] < 0.3):
                lost = lost and self.rng.random() < 0.9
                continue
            colour = like.colour if like and self._clear(like.colour, extent) else self._colour(kind, extent)
            if colour is None:
                continue
            pattern = like.pattern if like else self._pattern(kind)
            self.items.append(
                Item(
                    kind=kind, colour=colour, pattern=pattern, size=size, placement=placement, extent=extent, base=base
                )
            )
            self._hidden = hidden
            self._used.add((kind, colour))
            return len(self.items) - 1
        return None

    def _held(self, kind: Kind, holder: int) -> bool:
        """Put one thing on or into another."""
        carrier = self.items[holder]
        art, (left, top, right, bottom) = ART[carrier.kind], carrier.extent
        width, height = right - left, bottom - top
        inside = carrier.kind in CONTENTS
        across, high = self._shape(kind, 0.95)
        shrink = min(1.0, width * (0.62 if inside else art.top_width) / across)
        if inside:
            shrink = min(shrink, 0.27 / high)
        across, high = across * shrink, high * shrink
        middle = left + width * (0.5 if carrier.kind is not Kind.BOX else 0.48)
        low = top + height * (art.top or 0.0)
        if inside:
            low = top + height * art.rim + min(high * 0.3, height * 0.4)
        extent = (middle - across / 2, low - high, middle + across / 2, low)
        taken = [i.extent for n, i in enumerate(self.items) if n != holder]
        if extent[1] < 0.01 or any(_touch(extent, other, _GAP) for other in taken):
            return False
        if self.boards and extent[1] < max((y for y in self.boards if y < bottom - 0.01), default=0.0) + 0.045:
            return False
        colour = self._colour(kind, extent, beside=(carrier.colour,))
        if colour is None:
            return False
        size = Size.SMALL if shrink < 0.85 else Size.MEDIUM
        placement = Placement.INSIDE if inside else Placement.ON
        self.items.append(
            Item(
                kind=kind,
                colour=colour,
                pattern=self._pattern(kind),
                size=size,
                placement=placement,
                extent=extent,
                holder=holder,
                base=carrier.base,
            )
        )
        self._hidden.append(0.0)
        self._used.add((kind, colour))
        return True

    def _sign(self) -> None:
        """Put up a sign: on a post outdoors, on the wall indoors, on a board of a shelf."""
        text, style = sign_text(self.stratum, self.rng), sign_style(self.side, self.stratum)
        lines = text.split("\n")
        width = (max(style.length(line) for line in lines) + style.size * 1.3) / self.side
        board = (style.line_height * len(lines) + style.size * 0.7) / self.side
        bands = BANDS[self.setting]
        placement = Placement.SHELF if self.boards else Placement.WALL if bands.wall else Placement.GROUND
        post = 0.5 if placement is Placement.GROUND else 0.0
        height = board / (1 - post)
        for _ in range(_TRIES):
            u, left = float(self.rng.random()), 0.04 + float(self.rng.random()) * max(0.0, 0.92 - width)
            if self.boards:
                bottom = self.boards[int(u * len(self.boards))]
            elif bands.wall:
                bottom = max(bands.wall[0] + u * (bands.wall[1] - bands.wall[0]) + height / 2, height + 0.02)
            else:
                bottom = bands.back + u * 0.4 * (bands.front - bands.back)
            extent = (left, bottom - height, left + width, bottom)
            base = bottom if placement is Placement.GROUND else None
            if (hidden := self._fits(extent, base, 0.0, placement)) is None:
                continue
            if (colour := self._colour(Kind.SIGN, extent)) is None:
                continue
            self.items.append(
                Item(
                    kind=Kind.SIGN,
                    colour=colour,
                    pattern=Pattern.SOLID,
                    size=Size.MEDIUM,
                    placement=placement,
                    extent=extent,
                    base=base,
                    text=text,
                    post=post,
                )
            )
            self._hidden = hidden
            self._used.add((Kind.SIGN, colour))
            return

    # --- colours ---

    def _around(self, extent: Extent) -> NDArray[np.uint8]:
        """A few pixels of the backdrop there, (n, 3)."""
        left, top, right, bottom = (round(v * self.side) for v in extent)
        step_y, step_x = max(1, (bottom - top) // 6), max(1, (right - left) // 6)
        return self.behind[top:bottom:step_y, left:right:step_x].reshape(-1, 3)

    def _clear(self, colour: Colour, extent: Extent) -> bool:
        return self._standing_out((colour,), extent) == [colour]

    def _standing_out(self, colours: Sequence[Colour], extent: Extent) -> list[Colour]:
        """Those of `colours` from which most of the backdrop there is far."""
        pixels = self._around(extent).astype(np.float64)
        found = []
        for colour in colours:
            rgb = np.array(COLOURS[colour])
            mean, delta = (pixels[:, 0] + rgb[0]) / 2, pixels - rgb
            squares = (
                (2 + mean / 256) * delta[:, 0] ** 2 + 4 * delta[:, 1] ** 2 + (2 + (255 - mean) / 256) * delta[:, 2] ** 2
            )
            if float((squares < _APART**2).mean()) < 0.25:
                found.append(colour)
        return found

    def _colour(self, kind: Kind, extent: Extent, beside: tuple[Colour, ...] = ()) -> Colour | None:
        """A colour that stands out there and that no other of the kind has."""
        order = [tuple(Colour)[i] for i in self.rng.permutation(len(Colour))]
        free = [
            c
            for c in order
            if (kind, c) not in self._used and all(distance(COLOURS[c], COLOURS[b]) > _APART for b in beside)
        ]
        return next((c for c in free if self._standing_out((c,), extent)), None)
