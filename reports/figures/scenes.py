"""Tasks about pictures: how good each cell is beside what can be said without looking, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.scenes.results import BLIND_PRIOR, TaskResult
from harness.scenes.tasks import TASKS
from reports.figures.style import CONTROL_GREY, MARKERS, PALETTE, canvas, rows_axis, tidy
from reports.formatting import shorten
from reports.scenes import asked, cell_label, of_task, shown_cells
from reports.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_speed", "draw_tasks"]

_MOST = 8
"""Cells that a figure has room and looks for."""
_SIZE = 6
"""Of a marker, in points."""


def draw_tasks(summary: Summary) -> tuple[Canvas, str, str] | None:
    """The main metric of each task by cell, with the blind prior; None if no model's answers were judged."""
    results = [r for r in asked(summary) if r.judgements]
    cells = shown_cells([r for r in results if not r.is_control])[:_MOST]
    if not cells:
        return None
    tasks = of_task([r for r in results if r.cell == BLIND_PRIOR or not r.is_control])
    height = 1.6 + len(tasks) * max(0.34, 0.16 * (len(cells) + 1))
    figure, grid = canvas(8, height)
    axes = grid[0][0]
    rows_axis(axes, [f"{name}\n{TASKS[name].main}" for name in tasks])
    order = [*cells, BLIND_PRIOR]
    for row, found in enumerate(tasks.values()):
        for r in (r for r in found if r.cell in order):
            place = row + 0.72 * ((order.index(r.cell) + 0.5) / len(order) - 0.5)
            color, marker = _look(r.cell, cells)
            _bar(axes, r, place, color)
            axes.plot(100 * (r.main.value or 0.0), place, marker, color=color, markersize=_SIZE, linestyle="none")
    for cell in order:
        color, marker = _look(cell, cells)
        axes.plot([], [], marker, color=color, markersize=_SIZE, linestyle="none", label=shorten(cell_label(cell), 40))
    axes.set_xlim(-2, 102)
    tidy(axes, "Tasks about pictures", "main metric of the task, percent")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    caption = (
        "Points: estimates; bars: 95 % intervals over pictures. The blind prior is the best single answer to all "
        "questions of a task: a cell whose bar meets that of the prior has not been shown to look."
    )
    more = len(shown_cells([r for r in results if not r.is_control])) - len(cells)
    return figure, "Quality by task and cell", caption + (f" {more} more cells are in the tables." if more else "")


def draw_speed(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Median latency against the main metric, a panel a task; None without a cell that has both."""
    results = [r for r in asked(summary) if not r.is_control and r.judgements and _seconds(r) is not None]
    tasks = of_task(results)
    if not tasks:
        return None
    cells = shown_cells(results)[:_MOST]
    priors = {r.task.name: r for r in asked(summary) if r.cell == BLIND_PRIOR and r.judgements}
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, grid = canvas(8, 1.1 + 2.1 * rows + 0.2 * len(cells), rows, columns)
    panels = [axes for row in grid for axes in row]
    for axes, (name, found) in zip(panels, tasks.items(), strict=False):
        _panel(axes, name, [r for r in found if r.cell in cells], cells, priors.get(name))
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    for cell in cells:
        color, marker = _look(cell, cells)
        panels[0].plot([], [], marker, color=color, linestyle="none", label=shorten(cell_label(cell), 40))
    panels[0].plot([], [], "--", color=CONTROL_GREY, label="blind prior")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    caption = (
        "Above and to the left is better. Bars: 95 % intervals over pictures, and of the median over questions. The "
        "dashed line is the blind prior's estimate."
    )
    return figure, "Quality against median latency by task", caption


def _seconds(r: TaskResult) -> float | None:
    metric = r.costs["latency_s"]
    return metric.value if metric.contaminated is None else None


def _look(cell: str, cells: Sequence[str]) -> tuple[str, str]:
    if cell == BLIND_PRIOR:
        return CONTROL_GREY, "|"
    i = cells.index(cell)
    return PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]


def _bar(axes: Axes, r: TaskResult, place: float, color: str) -> None:
    if r.main.low is not None and r.main.high is not None:
        axes.plot([100 * r.main.low, 100 * r.main.high], [place, place], color=color, linewidth=1.4)


def _panel(axes: Axes, name: str, found: Sequence[TaskResult], cells: Sequence[str], prior: TaskResult | None) -> None:
    ends: list[float] = []
    for r in found:
        color, marker = _look(r.cell, cells)
        x, y = _seconds(r) or 0.0, 100 * (r.main.value or 0.0)
        metric = r.costs["latency_s"]
        if metric.low is not None and metric.high is not None:
            axes.plot([metric.low, metric.high], [y, y], color=color, linewidth=1)
        if r.main.low is not None and r.main.high is not None:
            axes.plot([x, x], [100 * r.main.low, 100 * r.main.high], color=color, linewidth=1)
        axes.plot(x, y, marker, color=color, markersize=6, linestyle="none")
        ends += [x, metric.high or x]
    if prior is not None and prior.main.value is not None:
        axes.axhline(100 * prior.main.value, color=CONTROL_GREY, linestyle="--", linewidth=1)
    axes.set_xlim(0, 1.15 * max(ends, default=1.0))
    axes.set_ylim(-4, 104)
    tidy(axes, name, "median latency, s")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_ylabel(f"{TASKS[name].main}, percent", fontsize=8)
