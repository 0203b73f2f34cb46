"""Heat maps of devices by cells: one for each metric that two devices have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.metrics import METRICS, Metric
from reports.figures.heatmap import Tile, column_labels, heat_map
from reports.figures.overview import is_wide
from reports.figures.style import canvas, rows_axis
from reports.formatting import format_percent, format_rate, plain, shorten
from reports.measures import Grid, Measure, device_name, grids, measures, on_several_devices
from reports.summary import CellSummary, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["draw_devices", "draw_grids", "draw_imported", "draw_tasks"]

Row = tuple[str, str]
"""Device and log."""
_NARROW = 6
"""With no more columns than this, two panels stand side by side."""


def draw_devices(summary: Summary) -> tuple[Canvas, str, str] | None:
    """Each metric over devices and cells; None unless the log holds a cell on two devices."""
    return draw_grids([g for g in grids(measures(summary)) if g.name in METRICS])


def draw_imported(summary: Summary) -> tuple[Canvas, str, str] | None:
    """The same of imported numbers that are no metric of METRICS."""
    return draw_grids([g for g in grids(measures(summary)) if g.name not in METRICS])


def draw_grids(found: Sequence[Grid]) -> tuple[Canvas, str, str] | None:
    """A heat map for each grid that has a cell on two devices, one above the other; None if none has."""
    shown = on_several_devices(found)
    if not shown:
        return None
    columns = sorted({m.column for g in shown for m in g.measures}, key=str.casefold)
    lines = _rows(shown)
    across = 2 if len(shown) > 2 and len(columns) <= _NARROW else 1
    heights = [0.9 + 0.4 * max(map(len, lines[i : i + across])) for i in range(0, len(shown), across)]
    width = (3.4 if across == 1 else 2.6) + 0.85 * max(3, len(columns))
    figure, grid = canvas(
        across * width, 1.2 + sum(heights), rows=len(heights), columns=across, sharex=True, height_ratios=heights
    )
    names = _names(lines)
    refused = False
    for axes, panel, rows in zip(grid.flat, shown, lines, strict=False):
        refused |= _panel(axes, panel, rows, columns)
        rows_axis(axes, [names[row] for row in rows])
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    for axes in list(grid.flat)[max(0, len(shown) - across) : len(shown)]:
        column_labels(axes, [shorten(c, 30) for c in columns])
        axes.tick_params(axis="x", labelbottom=True)
    caption = (
        "Rows: devices; columns: the same model, precision and way of running on each. Light is high and dark is low, "
        "percent from 0 to 100, the rest from the lowest to the highest of the panel, logarithmic where they lie far "
        "apart. Empty: not run there; in words: why there is no value. "
        + (
            "Hatched grey: not comparable with the coloured ones, for the reasons listed under Not compared. "
            if refused
            else ""
        )
        + "Intervals, where they exist, are in the table."
    )
    return figure, "Metrics by device and cell", caption


def _rows(shown: Sequence[Grid]) -> Sequence[Sequence[Row]]:
    """Of each panel, the devices with a value; those that have none anywhere, but failed, are in the first."""

    def rows(found: Iterable[Measure]) -> list[Row]:
        return list(dict.fromkeys((m.device, m.log) for m in found))

    lines = [rows(m for m in g.measures if m.metric.value is not None) for g in shown]
    known = {row for line in lines for row in line}
    failed = rows(m for g in shown for m in g.measures if m.missing not in (None, "not measured"))
    return [[*lines[0], *(row for row in failed if row not in known)], *lines[1:]]


def _names(lines: Sequence[Sequence[Row]]) -> Mapping[Row, str]:
    """Device names, with the log where several logs have the device."""
    every = list(dict.fromkeys(row for rows in lines for row in rows))
    logs = Counter(device for device, _ in every)
    return {
        (device, log): shorten(device, 30) + (f" ({shorten(log, 16)})" if logs[device] > 1 else "")
        for device, log in every
    }


def _panel(axes: Axes, panel: Grid, rows: Sequence[Row], columns: Sequence[str]) -> bool:
    """Draw one metric; returns whether a value was refused."""
    comparable = {id(m) for m in panel.comparable}
    values = [m.metric.value for m in panel.comparable if m.metric.value is not None]
    shade = float if panel.unit == "ratio" else _shades(values)
    places: dict[tuple[Row, str], list[Measure]] = {}
    for m in panel.measures:
        places.setdefault(((m.device, m.log), m.column), []).append(m)
    write, title = _units(panel)

    def tile(found: Sequence[Measure]) -> Tile:
        known = [m for m in found if m.metric.value is not None]
        if not known:
            return Tile(text=found[0].missing or "" if found else "")
        # several runs of one cell on one device: all are told, and the colour is of the first that is comparable
        text = "\n".join(write(m.metric.value) for m in known if m.metric.value is not None)
        first = next((m for m in known if id(m) in comparable), None)
        if first is None or first.metric.value is None:
            return Tile(text=text, refused=True)
        return Tile(text=text, shade=shade(first.metric.value))

    tiles = [[tile(places.get((row, column), [])) for column in columns] for row in rows]
    heat_map(axes, tiles, fontsize=7.5 if max(len(t.text) for line in tiles for t in line) < 12 else 6)
    axes.set_title(title)
    return any(t.refused for line in tiles for t in line)


def _shades(values: Sequence[float]) -> Callable[[float], float]:
    """Where a value lies from the lowest (0) to the highest (1), on a logarithmic scale if they lie far apart."""
    scale = math.log if values and is_wide(values) else float
    low, high = (scale(min(values)), scale(max(values))) if values else (0.0, 0.0)
    return lambda value: (scale(value) - low) / (high - low) if high > low else 0.5


def _units(panel: Grid) -> tuple[Callable[[float], str], str]:
    """How a metric's values are written, and its title with the unit and what is better."""
    name = panel.name.removeprefix("picture_")
    higher = METRICS[name].higher_is_better if name in METRICS else None
    better = "" if higher is None else f" ({'higher' if higher else 'lower'} is better)"
    match panel.unit:
        case "ratio":
            return format_percent, f"{panel.title}, percent{better}"
        case "B":
            return lambda v: format_rate(v / 2**30), f"{panel.title}, GiB{better}"
        case unit:
            return format_rate, f"{panel.title}, {unit or 'no unit'}{better}"


def draw_tasks(summary: Summary) -> tuple[Canvas, str, str] | None:
    """F1 and latency by kind of document (or task) and cell; None unless the cells are on two devices or more."""
    cells = [c for c in summary.candidates if c.overall.answered]
    names = {c.cell: device_name(summary, c.result.loads, c.result.readings.values()) for c in cells}
    kinds = sorted({kind for c in cells for kind in c.kinds})
    panels = [
        n for n in ("f1", "latency_s") if any(p.metrics[n].value is not None for c in cells for p in c.kinds.values())
    ]
    if len(set(names.values())) < 2 or len(kinds) < 2 or not panels:
        return None
    cells = sorted(cells, key=lambda c: (names[c.cell], c.cell.casefold()))
    each = 0.9 + 0.4 * len(kinds)
    figure, grid = canvas(3.2 + 0.85 * max(3, len(cells)), 1.6 + each * len(panels), rows=len(panels), sharex=True)
    lengths = Counter(c.fixed_length for c in cells)
    usual = lengths.most_common(1)[0][0]
    for axes, name in zip(grid[:, 0], panels, strict=True):
        free = {c.cell: name == "f1" or c.fixed_length == usual for c in cells}
        heat_map(axes, _task_tiles(cells, kinds, name, free), fontsize=7.5)
        rows_axis(axes, [plain(kind, 30) for kind in kinds])
        axes.set_title("F1 by task, percent" if name == "f1" else "Median latency by task, s")
    column_labels(grid[-1][0], [shorten(c.cell, 34) for c in cells])
    caption = (
        "Rows: kinds of document, or tasks; columns: cells, by device. Light is high and dark is low: F1 from 0 to "
        "100 percent, latency from the lowest to the highest, logarithmic where they lie far apart. Hatched grey: "
        "disturbed, or of another output length, and so not comparable. Point estimates: their intervals are in the "
        "tables and in report.json."
    )
    return figure, "Quality and latency by task and cell", caption


def _task_tiles(
    cells: Sequence[CellSummary], kinds: Sequence[str], name: str, comparable: Mapping[str, bool]
) -> Sequence[Sequence[Tile]]:
    def metric(cell: CellSummary, kind: str) -> Metric | None:
        found = cell.kinds[kind].metrics[name] if kind in cell.kinds else None
        return None if found is None or found.value is None else found

    def usable(cell: CellSummary, found: Metric) -> bool:
        return comparable[cell.cell] and found.contaminated is None

    values = [m.value for c in cells for k in kinds if (m := metric(c, k)) and m.value is not None and usable(c, m)]
    shade = float if name == "f1" else _shades(values)

    def tile(cell: CellSummary, kind: str) -> Tile:
        found = metric(cell, kind)
        if found is None or found.value is None:
            return Tile(text="–")
        text = format_percent(found.value) if name == "f1" else format_rate(found.value)
        return Tile(text=text, shade=shade(found.value)) if usable(cell, found) else Tile(text=text, refused=True)

    return [[tile(cell, kind) for cell in cells] for kind in kinds]
