"""Images a second against batch size: where a bigger batch stops paying, and where memory ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reports.figures.style import MARKERS, PALETTE, canvas, tidy
from reports.formatting import shorten
from reports.summary import Summary
from reports.throughput import SweepStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_throughput"]

_TICKS = 10
"""Batch sizes that an axis has room for."""


def draw_throughput(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Images/s of each sweep, both axes logarithmic; None without a step that was timed."""
    lines: dict[str, list[SweepStep]] = {}
    for step in summary.sweeps:
        if step.images_per_s is not None:
            lines.setdefault(step.cell, []).append(step)
    if not lines:
        return None
    failed = [s for s in summary.sweeps if s.failure is not None and s.cell in lines]
    figure, grid = canvas(8, 4.4 + 0.18 * ((len(lines) + 1) // 2))
    axes = grid[0][0]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for i, (cell, steps) in enumerate(lines.items()):
        _line(axes, cell, steps, i)
    _ticks(axes, lines)
    tidy(axes, "Throughput by batch size", "batch size, images (logarithmic scale)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_ylabel("throughput, images/s (logarithmic scale)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    told = "; ".join(f"{shorten(s.cell, 40)} at {s.batch_size}: {s.failure}" for s in failed)
    caption = (
        f"{_lengths([s for steps in lines.values() for s in steps])} "
        "A line of slope 1 would be a batch that costs nothing. "
        + (f"Failed and so not drawn: {told}." if told else "No size failed.")
    )
    return figure, "Images per second by batch size and cell", caption


def _lengths(steps: Sequence[SweepStep]) -> str:
    """How long the answers were, and what the points are."""
    tokens = sorted({s.output_tokens for s in steps if s.output_tokens is not None})
    found = []
    if tokens:
        found.append(
            f"Every page answered with exactly {' or '.join(map(str, tokens))} tokens. Points: medians of the timed "
            "requests; bars: lowest and highest of them."
        )
    if any(s.output_tokens is None for s in steps):
        found.append(
            "Dashed: output length free, so that a batch takes as long as its longest answer, and "
            "no batch size can be recommended from it; points: means."
        )
    return " ".join(found)


def _line(axes: Axes, cell: str, steps: Sequence[SweepStep], i: int) -> None:
    color, marker = PALETTE[i % len(PALETTE)], MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]
    points = [(s.batch_size, s.images_per_s) for s in steps if s.images_per_s is not None]
    sizes, middles = [size for size, _ in points], [rate[1] for _, rate in points]
    dashes = "--" if any(s.output_tokens is None for s in steps) else "-"
    label = shorten(cell, 40)
    axes.plot(sizes, middles, dashes, marker=marker, color=color, linewidth=1.4, markersize=6, label=label)
    for size, (low, _, high) in points:
        axes.plot([size, size], [low, high], color=color, linewidth=2.6, alpha=0.5)


def _ticks(axes: Axes, lines: Mapping[str, Sequence[SweepStep]]) -> None:
    """A tick at every batch size, or of many at every power of two, and plain numbers of images a second."""
    from matplotlib.ticker import LogLocator

    sizes = sorted({s.batch_size for steps in lines.values() for s in steps})
    axes.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    if len(sizes) > _TICKS:
        sizes = [2**k for k in range(sizes[-1].bit_length()) if sizes[0] <= 2**k]
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    low, high = axes.get_ylim()
    if high / low > 5:  # a narrower range may hold none of these: there, matplotlib's steps between are named
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter("" if high / low > 5 else "{x:.3g}")
