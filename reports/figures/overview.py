"""Quality, speed, memory and throughput at a glance, and the precisions of each model side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.metrics import Metric, Status
from reports.figures.style import CONTROL_GREY, MARKERS, PALETTE, canvas, few, label, looks, rows_axis, tidy
from reports.formatting import format_percent, format_rate, shorten
from reports.measures import failure_of
from reports.summary import CellSummary, Summary, by_length, by_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["AXES", "Quantity", "draw_overview", "draw_precisions", "is_wide", "logarithmic"]

_MODES = ("fp32", "bf16", "fp16", "int8", "int8-offload", "nf4", "fp4")
"""Precisions from the widest; any other comes after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A metric as an axis shows it."""

    title: str
    axis: str
    """What is on the axis, with its unit."""
    scale: float = 1.0
    """What a value is multiplied by for the axis."""
    write: Callable[[float], str] = format_rate
    """A number on the axis as text."""


AXES: Mapping[str, Quantity] = MappingProxyType(
    {
        "f1": Quantity(title="Quality", axis="F1, percent", scale=100, write=lambda v: format_percent(v / 100)),
        "latency_s": Quantity(title="Speed", axis="median latency per document, s"),
        "peak_vram_bytes": Quantity(title="Device memory", axis="peak device memory, GiB", scale=2**-30),
        "peak_rss_bytes": Quantity(title="Host memory", axis="peak resident memory, GiB", scale=2**-30),
        "docs_per_min": Quantity(title="Throughput", axis="documents per minute"),
        "energy_j": Quantity(title="Energy", axis="energy per document, J"),
    }
)


def is_wide(values: Sequence[float]) -> bool:
    """Whether values need a logarithmic axis to be told apart."""
    return min(values) > 0 and max(values) > 20 * min(values)


def logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers on it."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")


def draw_overview(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Quality, speed, memory and throughput of every candidate, with intervals; None without an answer."""
    cells = [c for c in summary.candidates or summary.controls if c.result.readings]
    if not any(c.overall.answered for c in cells):
        return None
    ordered, some = few(summary, [c for members in by_length(cells).values() for c in members])
    on_device = any(c.metrics["peak_vram_bytes"].value is not None for c in ordered)
    row = 0.3 if len(ordered) <= 12 else 0.2
    figure, grid = canvas(11, 1.9 + 2 * max(0.8, row * len(ordered)), rows=2, columns=2, sharey=True)
    names = ("f1", "latency_s", "peak_vram_bytes" if on_device else "peak_rss_bytes", "docs_per_min")
    found = looks(ordered)
    for axes, name in zip(grid.flat, names, strict=True):
        _panel(axes, ordered, name, found)
    for axes in grid[:, 0]:
        rows_axis(axes, [f"{label(c)}{_fixed(c)}  n={c.overall.answered}" for c in ordered])
        axes.tick_params(axis="y", labelsize=8)
    fixed = (
        "=N tokens: output length fixed, times not to be compared with others. " if any(map(_fixed, ordered)) else ""
    )
    disturbed = any(c.metrics["latency_s"].contaminated for c in ordered)
    caption = (
        "Points with 95 % intervals by document, over the answered documents (n); a peak of memory is a single "
        f"maximum and has none. {fixed}"
        + ("Hollow: measured while the device was disturbed, so that it judges nothing. " if disturbed else "")
        + f"More is better on the left above and on the right below; less is better in the other two.{some}"
    )
    return figure, "Quality, speed, memory and throughput by cell", caption


def _fixed(cell: CellSummary) -> str:
    return "" if cell.fixed_length is None else f"  ={cell.fixed_length} tokens"


def _panel(axes: Axes, cells: Sequence[CellSummary], name: str, found: Mapping[str, tuple[str, str]]) -> None:
    """One metric, a row a cell."""
    quantity = AXES[name]
    metrics = [c.metrics[name] for c in cells]
    ends = [quantity.scale * v for m in metrics for v in (m.value, m.low, m.high) if v is not None]
    if name == "f1":
        axes.set_xlim(-2, 118)
        axes.set_xticks(range(0, 101, 20))
    elif ends and is_wide(ends):
        logarithmic(axes)
        axes.set_xlim(min(ends) / 1.3, max(ends) * (max(ends) / min(ends)) ** 0.25)
    else:
        axes.set_xlim(0, 1.25 * max(ends, default=1.0))
        if not ends:
            axes.set_xticks([])
    for row, (cell, metric) in enumerate(zip(cells, metrics, strict=True)):
        if metric.value is None:
            unscored = cell.unscored if name == "f1" else None
            told = (unscored or "not measured") if cell.overall.answered else failure_of(cell)
            place = axes.get_yaxis_transform()
            axes.text(0.02, row, told, transform=place, va="center", fontsize=8, style="italic", color="#555555")
        else:
            _point(axes, row, metric, quantity, *found[cell.cell])
    axes.tick_params(axis="y", length=0)
    tidy(axes, quantity.title, f"{quantity.axis}{' (logarithmic scale)' if axes.get_xscale() == 'log' else ''}")


def _point(axes: Axes, row: float, metric: Metric, quantity: Quantity, color: str, marker: str) -> None:
    value = quantity.scale * (metric.value or 0.0)
    low, high = (value if v is None else quantity.scale * v for v in (metric.low, metric.high))
    if high > low:
        axes.plot([low, high], [row, row], color=color, linewidth=1.8, solid_capstyle="butt")
    face = "white" if metric.contaminated else color
    axes.plot(value, row, marker, color=color, markerfacecolor=face, markersize=6)
    origin = " (imported)" if metric.status is Status.IMPORTED else ""
    told = f"{quantity.write(value)}{origin}"
    axes.annotate(told, (high, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5)


def draw_precisions(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Quality, speed, memory and energy by precision, a line a model; None without two precisions of any."""
    models = _by_precision(summary)
    if not models:
        return None
    cells = [c for members in models.values() for c in members.values()]
    memory = "peak_vram_bytes" if any(c.metrics["peak_vram_bytes"].value for c in cells) else "peak_rss_bytes"
    names = [n for n in ("f1", "latency_s", memory, "energy_j") if any(c.metrics[n].value is not None for c in cells)]
    if not names:
        return None
    every = dict.fromkeys(mode for members in models.values() for mode in members)
    modes = sorted(every, key=lambda mode: _MODES.index(mode) if mode in _MODES else len(_MODES))
    figure, grid = canvas(max(6.0, 3.3 * len(names)), 3.9 + 0.2 * ((len(models) + 2) // 3), columns=len(names))
    for axes, name in zip(grid[0], names, strict=True):
        for i, members in enumerate(models.values()):
            shift = 0.5 * ((i + 0.5) / len(models) - 0.5)
            places = {modes.index(mode) + shift: c.metrics[name] for mode, c in members.items()}
            _line(axes, dict(sorted(places.items())), AXES[name], PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)])
        _upright(axes, modes, AXES[name], zero=name != "f1")
    for i, model in enumerate(models):
        look = {"color": PALETTE[i % len(PALETTE)], "marker": MARKERS[i % len(MARKERS)]}
        grid[0][0].plot([], [], label=shorten(model, 36), linewidth=1.4, **look)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    missing = "Of random weights, and so without F1, only costs are drawn. " if any(c.is_random for c in cells) else ""
    caption = (
        "Bars: 95 % intervals by document; a peak of memory is a single maximum and has none. Precisions of one model "
        "read the same documents, so overlapping bars do not mean that they are alike: the paired differences are in "
        f"the table. {missing}Times that were disturbed are left out. The axis of F1 need not start at 0."
    )
    return figure, "Quality and cost by precision and model", caption


def _by_precision(summary: Summary) -> Mapping[str, Mapping[str, CellSummary]]:
    """Models, run one way with one output length, that have two precisions or more with an answer."""
    found: dict[str, dict[str, CellSummary]] = {}
    answered = [c for c in summary.candidates if c.overall.answered]
    for length, cells in by_length(answered).items():
        for members in by_model(cells).values():
            for cell in members:
                if cell.identity is not None and cell.identity.quantization != "none":
                    family = replace(cell.identity, quantization="none").id + (f" ={length} tokens" if length else "")
                    found.setdefault(family, {})[cell.identity.quantization] = cell
    return {family: modes for family, modes in found.items() if len(modes) > 1}


def _line(axes: Axes, places: Mapping[float, Metric], quantity: Quantity, color: str, marker: str) -> None:
    """A model's values from left to right, each with its interval."""
    known = {x: m for x, m in places.items() if m.value is not None and not m.contaminated}
    values = [quantity.scale * (m.value or 0.0) for m in known.values()]
    axes.plot(list(known), values, color=color, linewidth=0.8, alpha=0.5)
    for (x, metric), value in zip(known.items(), values, strict=True):
        if metric.low is not None and metric.high is not None:
            axes.plot([x, x], [quantity.scale * metric.low, quantity.scale * metric.high], color=color, linewidth=1.6)
        axes.plot(x, value, marker, color=color, markersize=6, markeredgecolor="white", markeredgewidth=0.5)


def _upright(axes: Axes, modes: Sequence[str], quantity: Quantity, *, zero: bool) -> None:
    """Precisions along the bottom, the quantity upwards."""
    axes.set_xticks(range(len(modes)), modes, rotation=30 if len(modes) > 3 else 0)
    axes.set_xlim(-0.5, len(modes) - 0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(*((0, 1.05 * high) if zero else (max(-2, low), min(102, high))))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(quantity.title)
    axes.set_ylabel(quantity.axis)
    axes.set_xlabel("precision of the weights")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    for place in range(1, len(modes)):
        axes.axvline(place - 0.5, color=CONTROL_GREY, linewidth=0.3)
