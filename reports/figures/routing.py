"""F1 against mean latency of every way of routing between two cells, with the front drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.deployment.routing import Point, Routing
from reports.figures.style import MARKERS, PALETTE, canvas, tidy
from reports.formatting import shorten
from reports.routing import summary_routing
from reports.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_found", "draw_routing"]


def draw_routing(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Every point of the sweep; None without a pair of cells to route between."""
    return draw_found(summary_routing(summary))


def draw_found(found: Routing | str | None) -> tuple[Canvas, str, str] | None:
    """The same of routing that was worked out already; its prices are not drawn."""
    if not isinstance(found, Routing) or not found.points:
        return None
    figure, grid = canvas(8, 4.8)
    axes = grid[0][0]
    names = list(dict.fromkeys(p.name for p in found.points))
    for i, name in enumerate(names):
        _series(axes, name, [p for p in found.points if p.name == name], i)
    front = sorted((p.latency_s, p.f1.value) for p in found.points if p.on_front and p.f1.value is not None)
    axes.plot(
        [s for s, _ in front], [100 * f for _, f in front], color="#555555", linewidth=1.2, label="front", zorder=1
    )
    tidy(axes, "Quality and time of routing", "mean latency, s")
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_ylabel("F1, %")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    caption = (
        f"Fast: {shorten(found.fast, 40)}; strong: {shorten(found.strong, 40)}; {found.documents} documents. Points of "
        "one signal are its thresholds. Bars: 95 % intervals over documents, of each cell alone and of the points on "
        "the front. The front is of the values: where intervals overlap, its order is not settled."
    )
    return figure, "F1 and mean latency over the routing threshold", caption


def _series(axes: Axes, name: str, points: Sequence[Point], i: int) -> None:
    known = [(p, 100 * p.f1.value) for p in points if p.f1.value is not None]
    color = PALETTE[i % len(PALETTE)]
    alone = name in ("fast alone", "strong alone")
    axes.plot(
        [p.latency_s for p, _ in known],
        [value for _, value in known],
        linestyle="none",
        marker=MARKERS[i % len(MARKERS)],
        markersize=8 if alone else 5,
        color=color,
        label=name,
    )
    for p, _ in known:
        if (alone or p.on_front) and p.f1.low is not None and p.f1.high is not None:
            axes.plot(
                [p.latency_s, p.latency_s], [100 * p.f1.low, 100 * p.f1.high], color=color, linewidth=1.4, alpha=0.5
            )
