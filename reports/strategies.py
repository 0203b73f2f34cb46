"""Ways of asking a model beside each other: which path answered, how many calls it took, and what it brought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.cells import Cell
from harness.evidence import ReadingRecord
from reports.comparisons import Comparison, adjusted, compare
from reports.formatting import MISSING, escape, format_metric, table
from reports.summary import CellSummary, by_length
from reports.tables import difference, length_note, ratio, scored

__all__ = ["strategies_parts"]

_SINGLE = "single"
_INTRODUCTION = """\
Answered by: which path gave the answer, in documents. Calls: of the model, failed attempts included. Attempts: those
calls, and OCR where it stood in; in brackets, how many of all attempts could not be taken as they stood, by why.
Latency is that of all attempts together. Differences and ratios are paired with the same model and precision asked with
a single prompt, over the documents that both answered (n); p is adjusted (Holm) for the number of rows that have one.
"""


def strategies_parts(candidates: Sequence[CellSummary]) -> Sequence[str]:
    """The section, in parts; empty if one strategy alone was run."""
    cells = {c.identity: c for c in candidates if c.identity is not None}
    asked = {identity.strategy for identity in cells}
    if len(asked) < 2:
        return []
    families = {replace(i, strategy=_SINGLE) for i in cells if i.strategy != _SINGLE}
    groups = by_length([c for i, c in cells.items() if replace(i, strategy=_SINGLE) in families])
    tables = (part for length, shown in groups.items() for part in (length_note(length, groups), _table(shown, cells)))
    return [_INTRODUCTION, *tables]


def _table(shown: Sequence[CellSummary], cells: Mapping[Cell, CellSummary]) -> str:
    f1, latency = (_against_single(metric, shown, cells) for metric in ("f1", "latency_s"))
    rows = []
    for cell in shown:
        answered = [r for r in cell.result.readings.values() if r.failure is None]
        paths = Counter(r.path for r in answered)
        calls = [r.calls for r in answered]
        quality, speed = f1.get(cell.cell), latency.get(cell.cell)
        rows.append(
            [
                escape(cell.cell),
                ", ".join(f"{escape(path)} {n}" for path, n in paths.most_common()) or MISSING,
                f"{fmean(calls):.1f} (at most {max(calls)})" if calls else MISSING,
                _attempts(answered),
                format_metric(cell.metrics["latency_s"]),
                "" if speed is None else ratio(speed),
                scored(cell, "f1"),
                "" if quality is None else difference(quality),
                "" if quality is None or quality.p is None else f"{quality.p:.2g}",
                "" if quality is None else str(quality.n),
            ]
        )
    header = [
        "Cell",
        "Answered by",
        "Calls, mean",
        "Attempts, mean",
        "Latency p50 [95 %]",
        "Latency, ratio [95 %]",
        "F1 % [95 %]",
    ]
    return table([*header, "F1 difference in points [95 %]", "p", "n"], rows, "llr")


def _attempts(answered: Sequence[ReadingRecord]) -> str:
    """How many a document took, and what was at fault with them; a backend that itself answered made one a call."""
    if not answered:
        return MISSING
    faults = Counter(a.fault for r in answered for a in r.attempts if a.fault is not None)
    told = ", ".join(f"{escape(fault)} {n}" for fault, n in faults.most_common())
    mean = fmean(len(r.attempts) or r.calls for r in answered)
    return f"{mean:.1f}" + (f" ({told})" if told else "")


def _against_single(
    metric: str, shown: Sequence[CellSummary], cells: Mapping[Cell, CellSummary]
) -> Mapping[str, Comparison]:
    found = []
    for cell in shown:
        identity = cell.identity
        single = None if identity is None else cells.get(replace(identity, strategy=_SINGLE))
        if single is not None and single is not cell and not (metric == "f1" and cell.unscored):
            found.append(compare(metric, cell.result, single.result))
    return {c.a: c for c in adjusted(found)}
