"""What answers cost: the spread of latency, and memory while loading and while reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.figures.style import CONTROL_GREY, PALETTE, canvas, few, label, rows_axis, tidy
from reports.formatting import format_bytes, format_seconds
from reports.summary import CellSummary, Summary, by_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_latency", "draw_memory"]

_DOTS = 400
"""Of a cell, in a large log: more cover each other."""


def _latencies(cell: CellSummary) -> list[float]:
    readings = cell.result.readings.values()
    return [r.latency_s for r in readings if r.failure is None and r.latency_s is not None and r.latency_s > 0]


def draw_latency(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Every document's latency, with quartiles, median and 95th percentile; None if nothing was timed."""
    cells = summary.candidates or summary.controls  # a control answers in no time: beside it nothing else is legible
    ordered, some = few(summary, [c for members in by_length(cells).values() for c in members])
    found = [(c, samples) for c in ordered if (samples := _latencies(c))]
    if not found:
        return None
    figure, grid = canvas(9, 1.5 + 0.55 * len(found))
    axes = grid[0][0]
    every = [s for _, samples in found for s in samples]
    wide = max(every) > 20 * min(every)
    if wide:
        axes.set_xscale("log")
    for row, (cell, samples) in enumerate(found):
        _strip(axes, row, cell, samples, _DOTS if summary.is_large else len(samples))
    rows_axis(axes, [f"{label(cell)}{_fixed(cell)}  n={len(samples)}" for cell, samples in found])
    axes.set_xlim(*((min(every) / 1.5, max(every) * 6) if wide else (0, max(every) * 1.35)))
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
    axes.xaxis.set_minor_formatter("")
    tidy(axes, "Latency per document", "latency from request to text")
    fixed = (
        "=N tokens: output length fixed, not to be compared with others. " if any(_fixed(c) for c, _ in found) else ""
    )
    most = max(len(samples) for _, samples in found)
    dots = f", at most {_DOTS} of a cell" if summary.is_large and most > _DOTS else ""
    caption = (
        f"Each dot is one answered document{dots}. Box: first to third quartile; line: median (p50); diamond: p95. "
        f"{'Logarithmic scale. ' if wide else ''}{fixed}The intervals of the quantiles are in the table above.{some}"
    )
    return figure, "Latency per document by cell", caption


def _fixed(cell: CellSummary) -> str:
    return "" if cell.fixed_length is None else f"  ={cell.fixed_length} tokens"


def _tick(seconds: float) -> str:
    if seconds == 0:
        return "0"
    return f"{1000 * seconds:g} ms" if seconds < 1 else f"{seconds:g} s"


def _strip(axes: Axes, row: int, cell: CellSummary, samples: Sequence[float], most: int) -> None:
    import numpy

    color = CONTROL_GREY if cell.is_control else PALETTE[0]
    dots = samples[:: max(1, -(-len(samples) // most))]
    spread = [row - 0.18 + 0.36 * ((i * 0.618034) % 1) for i in range(len(dots))]  # jitter without chance
    axes.scatter(dots, spread, s=7, color=color, alpha=0.45, linewidths=0)
    first, middle, third, high = (float(q) for q in numpy.quantile(samples, (0.25, 0.5, 0.75, 0.95)))
    axes.barh(row, third - first, left=first, height=0.56, facecolor="none", edgecolor="black", linewidth=1)
    axes.plot([middle] * 2, [row - 0.28, row + 0.28], color=PALETTE[1], linewidth=2.2)
    axes.plot(high, row, "D", color=PALETTE[1], markersize=5, markeredgecolor="white", markeredgewidth=0.6)
    axes.annotate(
        f"p50 {format_seconds(middle)}, p95 {format_seconds(high)}",
        (max(samples), row),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def _samples(n: int) -> str:
    return f"{n} sample{'' if n == 1 else 's'}"


def draw_memory(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Peaks while loading and while reading; None if no cell has one."""
    phases = {
        "load_peak_rss_bytes": ("while loading", PALETTE[5]),
        "peak_rss_bytes": ("while reading", PALETTE[0]),
    }
    cells, some = few(summary, summary.cells)
    peaks = [v for c in cells for name in phases if (v := c.metrics[name].value) is not None]
    if not peaks:
        return None
    unit, scale = ("GiB", 2**30) if max(peaks) >= 2 * 2**30 else ("MiB", 2**20)
    figure, grid = canvas(9, 1.6 + 0.6 * len(cells))
    axes = grid[0][0]
    for i, (name, (phase, color)) in enumerate(phases.items()):
        for row, cell in enumerate(cells):
            place = row - 0.2 + 0.4 * i
            metric = cell.metrics[name]
            if metric.value is None:
                axes.text(
                    0,
                    place,
                    f" {phase}: not measured",
                    va="center",
                    fontsize=8,
                    style="italic",
                    color=CONTROL_GREY,
                )
                continue
            axes.barh(place, metric.value / scale, height=0.38, color=color)
            axes.text(
                metric.value / scale,
                place,
                f" {format_bytes(metric.value)}, {_samples(metric.n)}",
                va="center",
                fontsize=8,
            )
        axes.barh(0, 0, color=color, label=phase)
    for row, cell in enumerate(cells):
        if (anonymous := cell.metrics["peak_anonymous_bytes"].value) is not None:
            axes.plot([anonymous / scale] * 2, [row + 0.01, row + 0.39], color="black", linewidth=2)
    axes.plot([], [], color="black", linewidth=2, label="of it anonymous")
    rows_axis(axes, [label(c) for c in cells])
    axes.set_xlim(0, max(peaks) / scale * 1.3)
    tidy(axes, "Peak resident memory of the worker", f"peak RSS, {unit}")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    caption = (
        "Highest resident memory of the worker process in each phase: single maxima, so without intervals, with "
        "the number of samples. Black: the part that is not mapped from files. RSS while loading may be low because "
        f"mapped model files are read at first use.{some}"
    )
    return figure, "Peak memory by cell", caption
