"""The same metric on several devices: what it is on each, and which values are not to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.metrics import METRICS
from reports.formatting import escape, format_metric, table
from reports.measures import Grid, Measure, grids, measures, on_several_devices
from reports.summary import Summary

__all__ = ["MARK", "device_parts", "devices_json", "grid_parts", "refusals_table", "values_table"]

MARK = "‡"
_SHOWN = 6
"""Cells that a reason names."""


def device_parts(summary: Summary, drawn: Mapping[str, str]) -> Sequence[str]:
    """The section of one log, in parts; empty unless it holds several devices."""
    found = on_several_devices(grids(measures(summary)))
    if not found:
        return [drawn["tasks"]] if "tasks" in drawn else []
    return grid_parts(found, drawn)


def grid_parts(found: Sequence[Grid], drawn: Mapping[str, str]) -> Sequence[str]:
    """Values by cell and device, what imported numbers are, and what is not to be compared, with their figures."""
    known, imported = ([g for g in found if (g.name in METRICS) is own] for own in (True, False))
    return [
        f"Rates in percent; in brackets 95 % intervals by document. {MARK}: not to be compared with the rest of its "
        "column, for the reason under Not compared.\n",
        drawn.get("devices", ""),
        *([values_table(known)] if known else []),
        drawn.get("tasks", ""),
        *(["### Imported numbers\n", _definitions(imported), drawn.get("imported", "")] if imported else []),
        *([values_table(imported)] if imported else []),
        "### Not compared\n",
        refusals_table(found) or "Every value may be compared with the others of its metric.\n",
    ]


def values_table(found: Sequence[Grid], *, absent: str = "not told") -> str:
    """A row for each cell on each device, a column for each metric; `absent` stands where a cell has no measure."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for grid in found:
        for m in grid.measures:
            rows.setdefault((m.column, m.device, m.log), {})[grid.name] = _value(grid, m)
    logs = any(log for _, _, log in rows)
    header = ["Cell", "Device", *(["Log"] if logs else []), *(escape(g.title) for g in found)]
    shown = [
        [*map(escape, key if logs else key[:2]), *(values.get(g.name, absent) for g in found)]
        for key, values in sorted(rows.items(), key=lambda item: (item[0][0].casefold(), item[0]))
    ]
    return table(header, shown, "lllr" if logs else "llr")


def _value(grid: Grid, measure: Measure) -> str:
    if measure.metric.value is None:
        return measure.missing or "not measured"
    return format_metric(measure.metric) + (f" {MARK}" if grid.refusal(measure) is not None else "")


def _definitions(found: Sequence[Grid]) -> str:
    """What the numbers are that have names of their own."""
    rows = [
        [escape(g.title), escape(definition, 300)]
        for g in found
        for definition in dict.fromkeys(m.definition for m in g.measures)
    ]
    return table(["Number", "As its source defines it"], rows, "l")


def refusals_table(found: Sequence[Grid]) -> str:
    """By reason, the values that are left out of every comparison; empty if none is."""
    cells: dict[tuple[str, str], list[str]] = {}
    for grid in found:
        for m in grid.measures:
            if m.metric.value is not None and (why := grid.refusal(m)) is not None:
                cells.setdefault((why, grid.name), []).append(f"{m.log}: {m.cell}" if m.log else m.cell)
    titles, metrics = {g.name: g.title for g in found}, dict[tuple[str, tuple[str, ...]], list[str]]()
    for (why, name), names in cells.items():
        metrics.setdefault((why, tuple(names)), []).append(titles[name])
    rows = []
    for (why, alike), shared in metrics.items():
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        shown = ", ".join(map(escape, alike[:_SHOWN])) + more
        rows.append([escape(", ".join(shared), 400), escape(why, 400), shown])
    return table(["Metrics", "Why", "Cells"], rows, "l") if rows else ""


def devices_json(found: Sequence[Grid]) -> list[dict[str, Any]]:
    """For programs: each metric with its basis, and every value with the reason why it is not comparable."""
    return [
        {
            "metric": g.name,
            "basis": dict(g.basis),
            "values": [
                {
                    **({"log": m.log} if m.log else {}),
                    "cell": m.cell,
                    "device": m.device,
                    "missing": m.missing,
                    **asdict(m.metric),
                    "refused": g.refusal(m) if m.metric.value is not None else None,
                }
                for m in g.measures
            ],
        }
        for g in found
    ]
