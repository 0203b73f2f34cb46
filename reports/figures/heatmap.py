"""Heat maps: fields by cell, and what every heat map shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.metrics import Metric
from harness.schema import FIELD_NAMES, FIELDS
from reports.figures import detail
from reports.figures.style import canvas, few, label, rows_axis
from reports.formatting import spread
from reports.summary import CellSummary, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.image import AxesImage

__all__ = ["Tile", "column_labels", "draw_fields", "heat_map"]

_MOST = 30
"""More columns than this are not legible: then one precision of each model is drawn."""
_INTERVALS = 10
"""With more columns than this there is no room for intervals in the tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One place of a heat map."""

    text: str
    shade: float | None = None
    """Where on the colour scale, 0 to 1; None for no colour."""
    refused: bool = False
    """Grey and hatched: there is a value, which is not comparable with the others."""


def heat_map(axes: Axes, tiles: Sequence[Sequence[Tile]], *, fontsize: float = 8) -> AxesImage:
    """Draw rows of tiles: dark is low, light is high, white is empty, hatched grey is not comparable."""
    import numpy
    from matplotlib.patches import Rectangle

    shades = numpy.array([[numpy.nan if t.shade is None else t.shade for t in row] for row in tiles])
    image = axes.imshow(numpy.ma.masked_invalid(shades), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(tiles):
        for x, tile in enumerate(row):
            if tile.refused:
                corner = (x - 0.5, y - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, facecolor="#eeeeee", edgecolor="#bbbbbb", hatch="////", lw=0))
            dark = tile.shade is not None and tile.shade < 0.55
            box = {"facecolor": "#eeeeee", "edgecolor": "none", "pad": 1.0} if tile.refused else None
            color = "white" if dark else "black"
            text = axes.text(x, y, tile.text, ha="center", va="center", fontsize=fontsize, color=color, bbox=box)
            text.set_in_layout(False)  # it lies in its tile: measuring thousands of them says nothing
    axes.set_xticks(numpy.arange(0.5, shades.shape[1] - 1), minor=True)
    axes.set_yticks(numpy.arange(0.5, shades.shape[0] - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return image


def column_labels(axes: Axes, labels: Sequence[str]) -> None:
    """Names of columns, slanted: they are long."""
    axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")


def draw_fields(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 by field: with intervals for one cell, a heat map of all fields for several; None if none was judged."""
    cells = summary.shown
    if len(cells) < 2 or not any(c.fields for c in cells):
        return detail.draw_cell(cells[0]) if cells else None
    cells, some = few(summary, cells)
    cells, left_out = (summary.detailed[:_MOST], len(summary.shown)) if len(cells) > _MOST else (cells, 0)
    intervals = len(cells) <= _INTERVALS
    names = sorted(FIELD_NAMES, key=_category)
    tiles = [[_field_tile(c, name, intervals) for c in cells] for name in names]
    width = 1.15 if intervals else 0.5
    figure, grid = canvas(4.2 + width * len(cells), 2.0 + (0.34 if intervals else 0.25) * len(names))
    axes = grid[0][0]
    image = heat_map(axes, tiles, fontsize=7.5)
    rows_axis(axes, [f"{name}  {_count(cells, name)}" for name in names])
    column_labels(axes, [label(c) for c in cells])
    for row, (above, below) in enumerate(pairwise(names)):
        if _category(above) != _category(below):
            axes.axhline(row + 0.5, color="black", linewidth=1.2)
    axes.set_title("F1 by field, percent")
    bar = figure.colorbar(image, ax=axes, label="F1, percent", shrink=0.5)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    caption = (
        "F1 in percent of all fields of the schema, lines between categories. n: documents that a cell's F1 of the "
        "field rests on, fewest to most. "
        + (
            "In brackets: 95 % intervals by document, not adjusted for the number of fields. "
            if intervals
            else "Intervals are in the tables and in tables/fields.csv: small n makes them wide. "
        )
        + "A dash: not measured."
        + (f" Drawn are {len(cells)} of {left_out} cells, one precision of each model." if left_out else some)
    )
    return figure, "F1 by field and cell", caption


def _category(name: str) -> int:
    """Place of a field's category, in schema order."""
    return list(dict.fromkeys(FIELDS[n].category for n in FIELD_NAMES)).index(FIELDS[name].category)


def _count(cells: Sequence[CellSummary], name: str) -> str:
    counts = sorted({c.fields[name].metrics["f1"].n for c in cells if name in c.fields})
    return f"n={spread(counts)}" if counts else "not judged"


def _field_tile(cell: CellSummary, name: str, intervals: bool) -> Tile:
    metric = cell.fields[name].metrics["f1"] if name in cell.fields else None
    if metric is None or metric.value is None:
        return Tile(text="–")
    return Tile(text=_percent(metric, intervals), shade=metric.value)


def _percent(metric: Metric, intervals: bool) -> str:
    text = f"{100 * (metric.value or 0.0):.0f}"
    if not intervals or metric.low is None or metric.high is None:
        return text
    return f"{text} [{100 * metric.low:.0f}, {100 * metric.high:.0f}]"
