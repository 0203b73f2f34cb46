"""Quality: cells against each other, and by stratum and document kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.metrics import Metric
from reports.figures.style import CONTROL_GREY, PALETTE, canvas, few, label, looks, rows_axis, tidy
from reports.formatting import format_percent, plain, spread
from reports.summary import Slice, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_groups", "draw_point", "draw_quality"]


def draw_quality(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 by cell with its interval; accuracy beside it with the floor that makes it readable."""
    cells, some = few(summary, summary.cells)
    if not any(c.result.scores for c in cells):
        return None
    figure, grid = canvas(10, 1.5 + 0.42 * len(cells), columns=2, sharey=True)
    for axes, name, title in zip(grid[0], ("f1", "accuracy"), ("F1", "Accuracy beside its floor"), strict=True):
        for row, cell in enumerate(cells):
            color = CONTROL_GREY if cell.is_control else PALETTE[0]
            missing = cell.unscored or "not measured"
            draw_point(axes, row, cell.metrics[name], color=color, hollow=cell.is_control, missing=missing)
            floor = cell.metrics["floor_accuracy"].value
            if name == "accuracy" and floor is not None:
                axes.plot([100 * floor] * 2, [row - 0.32, row + 0.32], color=PALETTE[1], linewidth=2.5)
        axes.set_xlim(-2, 112)
        axes.set_xticks(range(0, 101, 20))
        axes.tick_params(axis="y", length=0)
        tidy(axes, title, "percent")
    grid[0][1].plot([], [], color=PALETTE[1], linewidth=2.5, label="floor: N/A to everything")
    figure.legend(loc="outside lower right", frameon=False)
    rows_axis(grid[0][0], [f"{label(c)}  n={c.overall.answered}" for c in cells])
    caption = (
        "Points: rates over the answered documents (n beside each cell). Bars: 95 % intervals with the document as the "
        "unit. Orange: what answering N/A to everything scores on the same documents. Hollow grey: controls."
        f"{some}"
    )
    return figure, "F1 and accuracy by cell", caption


def draw_point(
    axes: Axes,
    row: float,
    metric: Metric,
    *,
    color: str,
    hollow: bool = False,
    marker: str = "o",
    text: bool = True,
    missing: str = "not measured",
) -> None:
    """A metric in percent on row `row`, with its interval."""
    if metric.value is None:
        if text:
            axes.text(1, row, missing, color=CONTROL_GREY, va="center", style="italic")
        return
    value = 100 * metric.value
    if metric.low is not None and metric.high is not None:
        axes.plot(
            [100 * metric.low, 100 * metric.high],
            [row, row],
            color=color,
            linewidth=1.6,
            solid_capstyle="butt",
        )
    axes.plot(value, row, marker, color=color, markersize=6, markerfacecolor="white" if hollow else color)
    if text:
        right = 100 * (metric.high if metric.high is not None else metric.value)
        axes.text(right + 1.5, row, format_percent(metric.value), va="center", fontsize=8)


def draw_groups(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 by stratum and by kind; None where the documents have neither."""
    cells, some = few(summary, summary.shown)
    panels = [
        (title, groups)
        for title, groups in (
            ("stratum", [c.strata for c in cells]),
            ("document kind", [c.kinds for c in cells]),
        )
        if any(groups)
    ]
    if not panels:
        return None
    rows = [sum(len(_names(groups)) * (0.25 + 0.17 * len(cells)) + 0.9 for _, groups in panels)]
    ratios = [len(_names(groups)) for _, groups in panels]
    legend = 0.0 if len(cells) == 1 else 0.22 * ((len(cells) + 2) // 3) + 0.1
    figure, grid = canvas(8, sum(rows) + legend, rows=len(panels), sharex=True, height_ratios=ratios)
    found = looks(cells)
    for axes, (title, groups) in zip(grid[:, 0], panels, strict=True):
        _group_panel(axes, title, groups, [found[c.cell] for c in cells])
    grid[-1][0].set_xlabel("F1, percent")
    if len(cells) > 1:
        for cell in cells:
            color, marker = found[cell.cell]
            grid[0][0].plot([], [], marker, color=color, label=label(cell))
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    who = f"{label(cells[0])}. " if len(cells) == 1 else ""
    caption = (
        f"{who}F1 over the answered documents of each group (n: documents asked of each cell). Bars: 95 % "
        f"intervals with the document as the unit; they are not adjusted for the number of groups.{some}"
    )
    return figure, "F1 by stratum and document kind", caption


def _names(groups: Sequence[Mapping[str, Slice]]) -> list[str]:
    return list(dict.fromkeys(name for found in groups for name in found))


def _group_panel(
    axes: Axes, title: str, groups: Sequence[Mapping[str, Slice]], found: Sequence[tuple[str, str]]
) -> None:
    names = _names(groups)
    step = 0.8 / max(len(groups), 1)
    for row, name in enumerate(names):
        for i, (group, (color, marker)) in enumerate(zip(groups, found, strict=True)):
            if name in group:
                offset = (i - (len(groups) - 1) / 2) * step
                draw_point(
                    axes,
                    row + offset,
                    group[name].metrics["f1"],
                    color=color,
                    marker=marker,
                    text=len(groups) <= 3,
                )
    counts = [sorted({group[name].documents for group in groups if name in group}) for name in names]
    rows_axis(axes, [f"{plain(name, 24)}  n={spread(n)}" for name, n in zip(names, counts, strict=True)])
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#cccccc", linewidth=0.6)
    axes.set_xlim(-2, 108)
    axes.set_xticks(range(0, 101, 20))
    tidy(axes, f"F1 by {title}", "")
