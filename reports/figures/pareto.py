"""Quality against what it costs: latency, memory, energy, with the cells that nothing beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.metrics import Metric
from harness.pairing import asked_of_all
from reports.figures.overview import AXES, Quantity, is_wide, logarithmic
from reports.figures.style import canvas, fills, label, looks
from reports.formatting import shorten
from reports.summary import CellSummary, Summary
from reports.winners import common_metrics, comparable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_pareto", "pareto_front"]

_Values = Mapping[str, Mapping[str, Metric]]
"""By cell, its metrics over the documents that all read."""
_NAMED = 5
"""Cells of a front that the caption names."""


def pareto_front(points: Sequence[tuple[float, float]]) -> Sequence[int]:
    """Indices of the (cost, quality) points that no other one matches in both and beats in one, the cheapest first.

    Points that are equal are on the front together.
    """
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        cost, quality = points[i]
        if not front or quality > points[front[-1]][1] or (cost, quality) == points[front[-1]]:
            front.append(i)
    return front


def draw_pareto(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 against latency, memory and energy, the Pareto front drawn; None without two cells that have F1 and a cost.

    All points are over the documents that all scored candidates were asked to read.
    """
    asked = [c for c in summary.candidates if c.metrics["f1"].value is not None]
    results = [c.result for c in asked]
    values, common = common_metrics(results), asked_of_all(results)
    scored = [c for c in asked if values[c.cell]["f1"].value is not None]
    panels = [(name, cells) for name in _costs(scored, values) if len(cells := _known(scored, values, name)) > 1]
    if not panels:
        return None
    drawn = [c for c in scored if any(c in cells for _, cells in panels)]
    width = 4.1 * len(panels) if len(panels) > 1 else 6.5
    columns = max(1, int(width / 3.2))
    figure, grid = canvas(width, 4.0 + 0.19 * -(-len(drawn) // columns), columns=len(panels), sharey=True)
    shapes, told = _shapes(drawn), []
    for axes, (name, cells) in zip(grid[0], panels, strict=True):
        front = _panel(axes, cells, values, name, shapes)
        more = f" and {len(front) - _NAMED} more" if len(front) > _NAMED else ""
        told.append(f"{_plain(AXES[name])}: {', '.join(shorten(c.cell, 40) for c in front[:_NAMED])}{more}")
    low, high = grid[0][0].get_ylim()
    grid[0][0].set_ylim(max(-2, low), min(102, high))
    grid[0][0].yaxis.set_major_formatter("{x:g}")
    grid[0][0].set_ylabel("F1, percent")
    for cell in drawn:
        n = values[cell.cell]["f1"].n
        grid[0][0].plot([], [], label=f"{label(cell, 36)}  n={n}", **shapes[cell.cell])
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    parts = any(len(c.result.documents) > len(common) for c in scored)
    over = f" All points are over the {len(common)} documents that all cells were asked to read." if parts else ""
    caption = (
        f"Above and to the left is better.{over} Bars: 95 % intervals by document, where one exists. The dashed line "
        "is the Pareto front of the estimates: no other cell is both better and cheaper; where bars overlap, another "
        f"sample of documents could move it. On the front by {'; by '.join(told)}. Left out are disturbed "
        "measurements, and energies that do not compare."
    )
    return figure, "Quality against cost by cell", caption


def _shapes(cells: Sequence[CellSummary]) -> Mapping[str, dict[str, Any]]:
    """How a cell's point is drawn: no two alike, in colour or without."""
    found, filled = looks(cells), fills(cells)
    return {
        c.cell: {
            "color": found[c.cell][0],
            "marker": found[c.cell][1],
            "fillstyle": filled[c.cell],
            "markerfacecolor": "white" if filled[c.cell] == "none" else found[c.cell][0],
            "markerfacecoloralt": "white",
            "markersize": 7,
            "linestyle": "none",
        }
        for c in cells
    }


def _costs(cells: Sequence[CellSummary], values: _Values) -> Sequence[str]:
    """Costs to be drawn: memory of the device where any cell has it, otherwise of the host."""
    device = len(_known(cells, values, "peak_vram_bytes")) > 1
    return ("latency_s", "peak_vram_bytes" if device else "peak_rss_bytes", "energy_j")


def _known(cells: Sequence[CellSummary], values: _Values, name: str) -> Sequence[CellSummary]:
    """Those that may be ranked by it: measured, undisturbed, and energy by one sensor that the other agrees with."""
    ranked, _ = comparable(name, [c.result for c in cells], {c.cell: values[c.cell][name] for c in cells})
    able = {result.cell for result in ranked}
    return [c for c in cells if c.cell in able]


def _panel(
    axes: Axes, cells: Sequence[CellSummary], values: _Values, name: str, shapes: Mapping[str, dict[str, Any]]
) -> Sequence[CellSummary]:
    """Points, intervals and front; returns the cells on the front."""
    quantity = AXES[name]
    pairs = [(values[c.cell][name], values[c.cell]["f1"]) for c in cells]
    points = [(quantity.scale * (cost.value or 0), 100 * (f1.value or 0)) for cost, f1 in pairs]
    ends = [v for cost, _ in pairs for v in (cost.value, cost.low, cost.high) if v is not None]
    front = pareto_front(points)
    _scale(axes, quantity, [quantity.scale * v for v in ends])
    axes.plot(
        *zip(*(points[i] for i in front), strict=True), "--", color="black", linewidth=1.2, drawstyle="steps-post"
    )
    for cell, (cost, f1), (x, y) in zip(cells, pairs, points, strict=True):
        color = shapes[cell.cell]["color"]
        if cost.low is not None and cost.high is not None:
            axes.plot([quantity.scale * cost.low, quantity.scale * cost.high], [y, y], color=color, linewidth=1)
        if f1.low is not None and f1.high is not None:
            axes.plot([x, x], [100 * f1.low, 100 * f1.high], color=color, linewidth=1)
        axes.plot(x, y, **shapes[cell.cell])
    return [cells[i] for i in front]


def _plain(quantity: Quantity) -> str:
    """What is on the axis, without its unit."""
    return quantity.axis.partition(",")[0]


def _scale(axes: Axes, quantity: Quantity, ends: Sequence[float]) -> None:
    wide = is_wide(ends)
    if wide:
        logarithmic(axes)
        axes.set_xlim(min(ends) / 1.3, max(ends) * 1.3)
    else:
        axes.set_xlim(0, 1.08 * max(ends))
    axes.set_title(f"F1 against {_plain(quantity)}")
    axes.set_xlabel(f"{quantity.axis}{' (logarithmic scale)' if wide else ''}")
    axes.grid(color="#dddddd", linewidth=0.8)
