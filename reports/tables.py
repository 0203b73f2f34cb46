"""The tables of quality: gates, cells, comparisons, categories, fields, strata, kinds, line items."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple

from harness.evidence import GateRecord
from harness.metrics import METRICS, PAIRED_METRICS, Metric
from harness.scenes.tasks import TASKS
from reports.comparisons import Comparison, Scale
from reports.formatting import (
    MISSING,
    escape,
    format_interval,
    format_metric,
    format_percent,
    format_value,
    table,
)
from reports.summary import CellSummary, Slice

__all__ = [
    "cell_name",
    "comparisons_table",
    "counts_table",
    "difference",
    "fields_table",
    "gates_table",
    "groups_table",
    "length_note",
    "line_items_table",
    "main_table",
    "quality_table",
    "ratio",
    "scored",
]

_VERDICTS = {
    "fail": "**FAIL**",
    "inconclusive": "INCONCLUSIVE",
    "no-budget": "NO BUDGET",
    "recorded": "NOT JUDGED",
    "pass": "PASS",
}
_UNITS = {name: m.unit for metrics in (METRICS, PAIRED_METRICS) for name, m in metrics.items()}
_OF_PICTURES = "ratio"
"""Unit of what is gated of a task about pictures, whose gates begin with the task's name."""


def cell_name(cell: CellSummary) -> str:
    """The cell's id, escaped; controls carry a mark."""
    return f"{escape(cell.cell)}{' *(control)*' if cell.is_control else ''}"


def gates_table(gates: Sequence[GateRecord]) -> str:
    """Every verdict, the worst first."""
    order = list(_VERDICTS)
    ranked = sorted(gates, key=lambda g: order.index(g.verdict) if g.verdict in order else -1)
    rows = []
    for gate in ranked:
        name = gate.metric.split(".")[0]
        unit = _OF_PICTURES if name in TASKS else _UNITS.get(name, "")
        value = MISSING if gate.value is None else format_value(gate.value, unit)
        if gate.value is not None:
            value += format_interval(gate.low, gate.high, unit)
        side = f"{gate.bound} " if gate.bound else ""
        limit = "none set" if gate.limit is None else f"{side}{format_value(gate.limit, unit)}"
        n = "" if gate.n is None else str(gate.n)
        verdict = _VERDICTS.get(gate.verdict, escape(gate.verdict))
        cell = escape(gate.cell or "all")
        rows.append([verdict, cell, escape(gate.metric), value, limit, n, escape(gate.message, 400)])
    return table(["Verdict", "Cell", "Metric", "Estimate [95 %]", "Limit", "n", "Evidence"], rows, "lllrrrl")


def main_table(cells: Sequence[CellSummary]) -> str:
    """What decides, a row a cell: quality, time, memory and bytes, and of how many of the documents."""
    most = max(c.overall.documents for c in cells)
    device = any(c.metrics["peak_vram_bytes"].value is not None for c in cells)
    names = ["latency_s", "latency_p95_s", "peak_rss_bytes", *(["peak_vram_bytes"] if device else []), "weights_bytes"]
    rows = [
        [
            cell_name(c),
            *(scored(c, n) for n in ("f1", "hallucination_rate")),
            *(format_metric(c.metrics[n]) for n in names),
            _answered(c.overall) + (f", a part of {most}" if c.overall.documents < most else ""),
        ]
        for c in cells
    ]
    header = ["Cell", "F1 % [95 %]", "Hallucination %", "Latency p50", "p95", "Peak RSS"]
    return table([*header, *(["Peak device memory"] if device else []), "Weights", "Answered"], rows, "lr")


def comparisons_table(comparisons: Sequence[Comparison]) -> str:
    """Paired comparisons of candidates with interval, p and n."""
    rows = []
    for c in comparisons:
        if c.scale is Scale.DIFFERENCE:
            what, value = "document F1, difference in points", difference(c)
        else:
            what, value = "latency, ratio", ratio(c)
        told = "yes" if c.above or c.below else "no"
        p = "" if c.p is None else f"{c.p:.2g}"
        rows.append([f"{escape(c.a)} against {escape(c.b)}", what, value, told, p, str(c.n), str(c.changed)])
    header = ["Pair", "Of", "Estimate [95 %]", "Apart", "p", "n", "Documents that differ"]
    return table(header, rows, "llrlrrr")


def difference(c: Comparison) -> str:
    """A difference of shares in points, with its interval: `-1.2 [-3.4, +1.0]`."""
    return _bounded([None if v is None else f"{100 * v:+.1f}" for v in (c.value, c.low, c.high)])


def ratio(c: Comparison) -> str:
    """A ratio with its interval: `0.353 [0.300, 0.417]`."""
    return _bounded([None if v is None else f"{v:.3f}" for v in (c.value, c.low, c.high)])


def _bounded(shown: Sequence[str | None]) -> str:
    value, low, high = shown
    return MISSING if value is None else f"{value} [{low}, {high}]" if low is not None else value


def length_note(length: int | None, groups: Collection[int | None]) -> str:
    """What stands above a table of times of one output length; nothing where every cell was free to end its answers."""
    if length is not None:
        return f"Output length fixed: every answer has exactly {length} tokens, whatever the model would have said.\n"
    return "Output length free: models end their answers themselves.\n" if len(groups) > 1 else ""


def scored(cell: CellSummary, name: str, *, interval: bool = True) -> str:
    """A metric of quality with its interval, or why no such number would mean anything: `random weights`."""
    return cell.unscored or format_metric(cell.metrics[name], interval=interval)


def _percent(metrics: Mapping[str, Metric], name: str, *, interval: bool = True) -> str:
    return format_metric(metrics[name], interval=interval) if name in metrics else MISSING


def quality_table(cells: Sequence[CellSummary]) -> str:
    """Precision and recall side: one row per cell, failed cells included."""
    names = ("f1", "precision", "recall", "hallucination_rate", "omission_rate")
    rows = [[cell_name(c), *(scored(c, n) for n in names), _answered(c.overall), _status(c)] for c in cells]
    header = [
        "Cell",
        "F1 %",
        "Precision %",
        "Recall %",
        "Hallucination %",
        "Omission %",
        "Answered",
        "Status",
    ]
    return table(header, rows, "lrrrrrrl")


def counts_table(cells: Sequence[CellSummary]) -> str:
    """Accuracy beside its floor, and what else describes the answers."""
    rows = []
    for c in cells:
        floor = [scored(c, n) for n in ("accuracy", "floor_accuracy", "accuracy_above_floor")]
        rest = [scored(c, n, interval=False) for n in ("anls", "value_rate", "parse_rate")]
        answered = format_metric(c.metrics["answer_rate"], interval=False)
        rows.append([cell_name(c), *floor, *rest, answered, *_outcomes(c.overall)])
    header = ["Cell", "Accuracy %", "Floor %", "Above floor, points", "ANLS %", "Values given %", "Parsed %"]
    return table([*header, "Answered %", *"CWOHAU"], rows, "lr")


def _answered(part: Slice) -> str:
    return f"{part.answered}/{part.documents}"


def _status(cell: CellSummary) -> str:
    failures = ", ".join(f"{n} × {f.value}" for f, n in sorted(cell.result.failures.items()))
    return f"{cell.result.status}{f': {failures}' if failures else ''}"


def _outcomes(part: Slice) -> list[str]:
    return ["–"] * 6 if part.counts is None else [str(n) for n in astuple(part.counts)]


def groups_table(of: str, cells: Sequence[CellSummary], groups: Sequence[Mapping[str, Slice]]) -> str:
    """Cells by category, stratum or kind: F1 and the two ways of being wrong; `groups` parallels `cells`."""
    names = ("f1", "precision", "recall", "hallucination_rate", "omission_rate")
    rows = []
    for group in dict.fromkeys(name for found in groups for name in found):
        for cell, found in zip(cells, groups, strict=True):
            if group in found:
                part = found[group]
                rates = [_percent(part.metrics, n) for n in names]
                rows.append([escape(group), cell_name(cell), *rates, *_outcomes(part), _answered(part)])
    header = [
        of,
        "Cell",
        "F1 %",
        "Precision %",
        "Recall %",
        "Hallucination %",
        "Omission %",
        *"CWOHAU",
        "Answered",
    ]
    return table(header, rows, "llr")


def fields_table(cell: CellSummary) -> str:
    """One cell's fields with their outcome counts."""
    rows = []
    for name, part in cell.fields.items():
        rates = [_percent(part.metrics, n) for n in ("f1", "hallucination_rate", "omission_rate")]
        rows.append([escape(name), rates[0], str(part.metrics["f1"].n), *_outcomes(part), *rates[1:]])
    return table(["Field", "F1 %", "n", *"CWOHAU", "Hallucination %", "Omission %"], rows, "lr")


def line_items_table(cells: Sequence[CellSummary]) -> str:
    """Line items as aligned rows."""
    names = ("line_item_f1", "line_item_row_exact", "line_item_order")
    rows = [[cell_name(c), *(_percent(c.metrics, n) for n in names), str(c.metrics["line_item_f1"].n)] for c in cells]
    return table(["Cell", "Cell F1 %", "Rows exact %", "Order kept %", "n"], rows, "lr")


def format_share(part: int, whole: int) -> str:
    """`57/60 (95.0 %)`."""
    return f"{part}/{whole} ({format_percent(part / whole)} %)" if whole else "none"
