"""Geometry of a page of recognised text: deskewing, cells, rows, neighbours and blocks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.backends.ocr_rules.text import clean

__all__ = ["Line", "Page", "aligned", "build_page", "deskew", "join_close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One piece of text with the level box that it fills, in pixels, y growing downwards."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    angle: float = 0.0
    """Direction of the text against the horizontal, in degrees, clockwise positive."""
    score: float = 1.0
    """The recogniser's confidence, 0 to 1."""

    @property
    def height(self) -> float:
        """Height of the text."""
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        """Width of the text."""
        return self.x1 - self.x0

    @property
    def cx(self) -> float:
        """Horizontal centre."""
        return (self.x0 + self.x1) / 2

    @property
    def cy(self) -> float:
        """Vertical centre."""
        return (self.y0 + self.y1) / 2

    def overlap_x(self, other: Line) -> float:
        """Width shared with another line, negative for the gap between them."""
        return min(self.x1, other.x1) - max(self.x0, other.x0)

    def overlap_y(self, other: Line) -> float:
        """Height shared with another line, negative for the gap between them."""
        return min(self.y1, other.y1) - max(self.y0, other.y0)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Cells in reading order and the relations between them. Coordinates are those of the level page."""

    rows: tuple[tuple[Line, ...], ...]
    """Top to bottom, each left to right."""
    width: float
    height: float

    @cached_property
    def cells(self) -> tuple[Line, ...]:
        """All cells, row by row."""
        return tuple(cell for row in self.rows for cell in row)

    @cached_property
    def _row_of(self) -> dict[int, int]:
        return {id(cell): index for index, row in enumerate(self.rows) for cell in row}

    @cached_property
    def text_height(self) -> float:
        """Median height of a cell; 1 on a blank page."""
        return statistics.median(c.height for c in self.cells) if self.cells else 1.0

    @property
    def known(self) -> Mapping[int, int]:
        """Row indices by the identity of the cell."""
        return self._row_of

    def row_index(self, cell: Line) -> int:
        """Index of the row that holds `cell`."""
        return self._row_of[id(cell)]

    def right_of(self, cell: Line) -> tuple[Line, ...]:
        """Return the cells further right in the same row, nearest first."""
        return tuple(c for c in self.rows[self.row_index(cell)] if c.x0 > cell.x0 and c is not cell)

    def left_of(self, cell: Line) -> tuple[Line, ...]:
        """Return the cells further left in the same row, nearest first."""
        return tuple(c for c in reversed(self.rows[self.row_index(cell)]) if c.x0 < cell.x0 and c is not cell)

    def below(self, cell: Line, *, reach: float = 1.6) -> Line | None:
        """Return the nearest cell beneath that shares its left edge, centre or right edge, or is close and no wider.

        `reach` is the widest gap, in heights of `cell`.
        """
        best: Line | None = None
        for other in self.cells:
            gap = other.y0 - cell.y1
            if other is cell or other.cy <= cell.y1 or gap > reach * cell.height:
                continue
            within = gap < 0.5 * cell.height and cell.x0 <= other.x0 and other.x1 <= cell.x1
            if (within or aligned(cell, other)) and (best is None or other.cy < best.cy):
                best = other
        return best

    def row_below(self, cell: Line, *, reach: float = 1.6) -> Line | None:
        """Return the first cell of the next row, if it is no further than `reach` heights beneath."""
        index = self.row_index(cell) + 1
        if index >= len(self.rows) or self.rows[index][0].y0 - cell.y1 > reach * cell.height:
            return None
        return self.rows[index][0]

    def column_below(self, cell: Line, *, first_reach: float = 2.0, reach: float = 1.1) -> Iterator[Line]:
        """Yield the cells stacked beneath `cell`, each aligned with it or the last one, until a gap."""
        current, limit = cell, first_reach
        while (following := self.below(current, reach=limit)) is not None:
            yield following
            current, limit = following, reach


def aligned(upper: Line, lower: Line) -> bool:
    """Whether two stacked lines share their left edge, their centre or (overlapping) their right edge."""
    tolerance = 0.9 * max(min(upper.height, lower.height), 1.0)
    if abs(upper.x0 - lower.x0) <= tolerance:
        return True
    if upper.overlap_x(lower) <= 0.3 * min(upper.width, lower.width):
        return False
    return abs(upper.cx - lower.cx) <= 1.5 * tolerance or abs(upper.x1 - lower.x1) <= tolerance


def deskew(lines: Sequence[Line], width: float, height: float) -> tuple[Line, ...]:
    """Turn the boxes about the page's centre by the median angle of the text, weighted by width."""
    weighted = sorted((line.angle, line.width) for line in lines if line.width > 2 * line.height)
    half = sum(w for _, w in weighted) / 2
    skew, seen = 0.0, 0.0
    for angle, weight in weighted:
        seen += weight
        if seen >= half:
            skew = angle
            break
    if abs(skew) < 0.1:
        return tuple(lines)
    cosine, sine = math.cos(math.radians(-skew)), math.sin(math.radians(-skew))
    turned = []
    for line in lines:
        dx, dy = line.cx - width / 2, line.cy - height / 2
        mx, my = width / 2 + dx * cosine - dy * sine, height / 2 + dx * sine + dy * cosine
        half_w, half_h = line.width / 2, line.height / 2
        turned.append(
            replace(line, x0=mx - half_w, y0=my - half_h, x1=mx + half_w, y1=my + half_h, angle=line.angle - skew)
        )
    return tuple(turned)


def _rows(lines: Iterable[Line]) -> list[list[Line]]:
    """Group lines into rows. A line joins the row whose nearest member on its left or right is level with it:

    comparing with the nearest member, not with the row's first, lets rows of a photographed page bend.
    """
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda c: (c.cy, c.x0)):
        best, best_overlap = None, 0.0
        for row in rows[-6:]:
            nearest = min(row, key=lambda c: max(c.x0 - line.x1, line.x0 - c.x1))
            if nearest.overlap_x(line) > 0.3 * min(nearest.width, line.width):
                continue
            share = nearest.overlap_y(line) / min(nearest.height, line.height)
            if share > 0.5 and share > best_overlap:
                best, best_overlap = row, share
        if best is None:
            rows.append([line])
        else:
            best.append(line)
    for row in rows:
        row.sort(key=lambda c: c.x0)
    rows.sort(key=lambda row: statistics.fmean(c.cy for c in row))
    return _halves_joined(rows)


def _halves_joined(rows: list[list[Line]]) -> list[list[Line]]:
    """Join neighbouring rows that stand side by side and overlap a little in height: halves of one row."""
    joined: list[list[Line]] = []
    for row in rows:
        last = joined[-1] if joined else None
        if last is not None and (last[-1].x1 < row[0].x0 or row[-1].x1 < last[0].x0):
            left, right = (last[-1], row[0]) if last[-1].x1 < row[0].x0 else (row[-1], last[0])
            if left.overlap_y(right) > 0.25 * min(left.height, right.height):
                joined[-1] = sorted([*last, *row], key=lambda c: c.x0)
                continue
        joined.append(row)
    return joined


def join_close(row: Sequence[Line], *, gap: float = 0.45) -> tuple[Line, ...]:
    """Join pieces of a row that stand as close as words do; `gap` in heights. Columns of a table can stand as close."""
    cells: list[Line] = []
    for line in row:
        last = cells[-1] if cells else None
        if (
            last is not None
            and line.x0 - last.x1 < gap * min(last.height, line.height)
            and max(last.height, line.height) < 1.5 * min(last.height, line.height)
            and not (last.text[-1:].isdigit() and line.text[:1].isdigit())
        ):
            cells[-1] = Line(
                text=f"{last.text} {line.text}", x0=last.x0, y0=min(last.y0, line.y0), x1=max(last.x1, line.x1),
                y1=max(last.y1, line.y1), angle=last.angle, score=min(last.score, line.score),
            )  # fmt: skip
        else:
            cells.append(line)
    return tuple(cells)


def build_page(lines: Sequence[Line], width: float, height: float) -> Page:
    """Deskew, clean and arrange the lines of a page of `width` x `height` pixels."""
    usable = [replace(line, text=clean(line.text)) for line in deskew(lines, width, height) if line.height > 0]
    rows = (tuple(row) for row in _rows(line for line in usable if line.text))
    return Page(rows=tuple(rows), width=width, height=height)
