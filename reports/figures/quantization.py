"""Quality against the bytes of the weights: what each precision of a model costs and saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reports.figures.style import MARKERS, PALETTE, canvas, tidy
from reports.formatting import format_bytes, shorten
from reports.recovery import Recovery
from reports.summary import CellSummary, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_quantization"]

Point = tuple[Recovery, CellSummary]


def draw_quantization(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 with its interval against weight bytes, a line for each model; None without two precisions of any."""
    lines = _lines(summary)
    if not any(len(points) > 1 for points in lines.values()):
        return None
    modes = list(dict.fromkeys(r.identity.quantization for points in lines.values() for r, _ in points))
    figure, grid = canvas(8, 4.6)
    axes = grid[0][0]
    axes.set_xscale("log", base=2)
    for i, (name, points) in enumerate(lines.items()):
        _line(axes, name, points, PALETTE[i % len(PALETTE)], modes, nudge=1 + 0.006 * (i - (len(lines) - 1) / 2))
    for i, mode in enumerate(modes):
        axes.plot([], [], MARKERS[i % len(MARKERS)], color="black", linestyle="none", label=mode)
    _ticks(axes, [_bytes(cell) for points in lines.values() for _, cell in points])
    low, high = axes.get_ylim()
    axes.set_ylim(max(-2, low), min(102, high))
    tidy(axes, "F1 against the bytes of the weights", "weights as loaded (logarithmic scale)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_ylabel("F1, percent")
    axes.yaxis.set_major_formatter("{x:g}")
    asked = sorted({cell.overall.answered for points in lines.values() for _, cell in points})
    n = " to ".join(map(str, dict.fromkeys((asked[0], asked[-1]))))
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    caption = (
        f"One line for each model, one marker for each precision, over the answered documents (n={n}). Bars: 95 % "
        "intervals, by document; precisions of one model read the same documents, so overlapping bars do not "
        "mean that they are alike: the paired differences are in the table. The vertical axis need not start at 0."
    )
    return figure, "F1 against weight bytes by model and precision", caption


def _bytes(cell: CellSummary) -> float:
    return cell.metrics["weights_bytes"].value or 0.0


def _lines(summary: Summary) -> dict[str, list[Point]]:
    """By model and way of running, the precisions that have an F1 and bytes, the smallest first."""
    cells = {c.cell: c for c in summary.candidates}
    found: dict[str, list[Point]] = {}
    for r in summary.recoveries:
        cell = cells[r.cell]
        if cell.metrics["f1"].value is not None and _bytes(cell) > 0:
            found.setdefault(replace(r.identity, quantization="none").id, []).append((r, cell))
    return {name: sorted(points, key=lambda point: _bytes(point[1])) for name, points in found.items()}


def _line(axes: Axes, name: str, points: Sequence[Point], color: str, modes: Sequence[str], nudge: float) -> None:
    """`nudge` moves a model's points sideways a little, so that intervals at the same bytes stay apart."""
    places = [_bytes(cell) * nudge for _, cell in points]
    values = [100 * (cell.metrics["f1"].value or 0.0) for _, cell in points]
    axes.plot(places, values, color=color, linewidth=1.2, alpha=0.6)
    axes.plot([], [], color=color, linewidth=2.5, label=shorten(name, 28))
    for (r, cell), place, value in zip(points, places, values, strict=True):
        f1 = cell.metrics["f1"]
        if f1.low is not None and f1.high is not None:
            axes.plot([place, place], [100 * f1.low, 100 * f1.high], color=color, linewidth=1.4)
        marker = MARKERS[modes.index(r.identity.quantization) % len(MARKERS)]
        axes.plot(place, value, marker, color=color, markersize=7, markeredgecolor="white", markeredgewidth=0.6)


def _ticks(axes: Axes, every: Sequence[float]) -> None:
    """A tick at each power of two within the data, in words; two at least."""
    import math

    first, last = math.floor(math.log2(min(every))), math.ceil(math.log2(max(every)))
    step = max(1, (last - first) // 6)
    places = [2.0**power for power in range(first, last + 1, step)]
    axes.set_xticks(places, [format_bytes(place) for place in places])
    axes.set_xlim(min(every) / 1.2, max(every) * 1.2)
    axes.xaxis.set_minor_formatter("")
