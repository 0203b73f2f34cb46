"""Fields: which are read well by which cell, and what happens to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.quality import draw_point
from reports.figures.style import PALETTE, canvas, label, rows_axis, tidy
from reports.summary import CellSummary, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_cell", "draw_outcomes"]

_OUTCOMES = {
    "correct": (PALETTE[0], ""),
    "absent": (PALETTE[5], ""),
    "unanswered": ("#cccccc", ""),
    "omitted": (PALETTE[4], "///"),
    "wrong": (PALETTE[1], "\\\\\\"),
    "hallucinated": (PALETTE[6], ""),
}
"""Right ones from the left, then what is missing, then what misleads."""


def _judged(cells: Sequence[CellSummary]) -> list[str]:
    return list(dict.fromkeys(name for c in cells for name in c.fields))


def draw_cell(cell: CellSummary) -> tuple[Canvas, str, str] | None:
    """F1 by field of one cell, with intervals; None if no field was judged."""
    names = list(cell.fields)
    if not names:
        return None
    figure, grid = canvas(8, 1.1 + 0.22 * len(names))
    axes = grid[0][0]
    for row, name in enumerate(names):
        draw_point(axes, row, cell.fields[name].metrics["f1"], color=PALETTE[0])
    rows_axis(axes, [f"{name}  n={cell.fields[name].metrics['f1'].n}" for name in names])
    axes.set_xlim(-2, 108)
    axes.set_xticks(range(0, 101, 20))
    tidy(axes, f"F1 by field: {label(cell)}", "F1, percent")
    caption = (
        "n: documents that print the field or were given a value for it. Bars: 95 % intervals, not adjusted for "
        "the number of fields."
    )
    return figure, "F1 by field", caption


def draw_outcomes(summary: Summary) -> tuple[Canvas, str, str] | None:
    """What became of each field, one panel a cell."""
    cells = summary.detailed
    names = _judged(cells)
    if not names:
        return None
    columns = min(len(cells), 4)
    rows = math.ceil(len(cells) / columns)
    width = 8.0 if len(cells) == 1 else 2.4 + 3.0 * columns
    figure, grid = canvas(width, rows * (0.9 + 0.2 * len(names)) + 0.5, rows=rows, columns=columns, sharey=True)
    for axes, cell in zip(grid.flat, cells, strict=False):
        _stack(axes, cell, names)
    for axes in list(grid.flat)[len(cells) :]:
        axes.set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6 if width >= 8 else 3, frameon=False)
    caption = (
        "Of the answered documents whose ground truth speaks of the field, how many ended in each outcome. Blue is "
        "right (dark: the value; light: correctly absent); black and orange mislead; hatched and grey are gaps."
    )
    return figure, "Outcomes by field", caption


def _stack(axes: Axes, cell: CellSummary, names: Sequence[str]) -> None:
    from matplotlib.collections import PolyCollection

    left = [0] * len(names)
    for outcome, (color, hatch) in _OUTCOMES.items():
        counts = [0] * len(names)
        for row, name in enumerate(names):
            part = cell.fields.get(name)
            counts[row] = getattr(part.counts, outcome) if part is not None and part.counts is not None else 0
        bars = [
            [(x, y - 0.375), (x + width, y - 0.375), (x + width, y + 0.375), (x, y + 0.375)]
            for y, (x, width) in enumerate(zip(left, counts, strict=True))
        ]
        # one artist for all fields: hundreds of single bars would take longer than everything else in the figure
        look: Any = {"facecolor": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}
        axes.add_collection(PolyCollection(bars, label=outcome, **look), autolim=False)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    rows_axis(axes, list(names))
    axes.set_xlim(0, max([1, *left]))
    tidy(axes, label(cell, 36), f"documents, n={cell.overall.answered}")
    axes.title.set_fontsize(8 if len(cell.cell) > 20 else 10)
