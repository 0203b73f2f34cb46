"""Against a baseline: the section of a report, the markdown of a pull request, and what nobody compared."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence import Evidence, GateRecord
from harness.gates import Verdict
from harness.regression import Baseline, CellComparison, Comparison, RegressionGate
from harness.regression.identity import renamed_from
from reports.formatting import escape, table

__all__ = ["comparison_lines", "comparison_markdown", "regression_parts", "uncompared"]

_MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "**FAIL**", Verdict.INCONCLUSIVE: "*inconclusive*"}
_OF_BASELINE = "regression."
_FIELDS = 8
_DOCUMENTS = 5
_LONG = 600
_DASH = "–"


def regression_parts(gates: Sequence[GateRecord]) -> Sequence[str]:
    """A section: every verdict against the baseline, the worst first; empty where nothing was compared."""
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    found = [g for g in gates if g.metric.startswith(_OF_BASELINE) and g.verdict in order]
    if not found:
        return []
    rows = [
        [_MARKS[Verdict(g.verdict)], escape(g.cell or "all"), escape(_subject(g)), escape(g.message, _LONG)]
        for g in sorted(found, key=lambda g: order.index(Verdict(g.verdict)))
    ]
    return [
        "Each cell against the stored run that --eval-baseline names: the same documents, scored by the same scorer.\n",
        table(["Verdict", "Cell", "What", "Evidence"], rows, "l"),
    ]


def _subject(gate: GateRecord) -> str:
    name = gate.metric.removeprefix(_OF_BASELINE)
    return {"f1_difference": "quality", "latency_ratio": "latency"}.get(name, name)


def uncompared(evidence: Evidence, baseline: Baseline, gates: Sequence[GateRecord]) -> Sequence[str]:
    """Why a session that was to be compared was not, or not wholly: cells missing on either side of the comparison.

    A cell that now has another name is not missing: its own verdict says so.
    """
    now = Baseline.from_evidence(evidence).cells
    compared = {g.cell for g in gates if g.metric.startswith(_OF_BASELINE)}
    left = {cell: runs for cell, runs in baseline.cells.items() if cell not in now}
    for cell in (c for c in now if c not in baseline.cells):
        if (old := renamed_from(now[cell][0], left)) is not None:
            left.pop(old)
    missing = [
        f"{cell}: missing: in the baseline, and not in this run: run it too, or save one without it" for cell in left
    ]
    skipped = [
        f"{cell}: it was run, and not compared with the baseline: select evals/test_regression.py too"
        for cell, (run, *_) in now.items()
        if cell not in compared
        and (cell in baseline.cells or any(reading.failure is None for reading in run.readings.values()))
    ]
    return [*missing, *skipped]


def comparison_lines(found: Comparison) -> Sequence[str]:
    """For a terminal: one line a gate, the verdict first."""
    return [f"{g.verdict.upper():12}  {g.cell}  {g.kind}: {g.message}" for g in _ranked(found)]


def _ranked(found: Comparison) -> Sequence[RegressionGate]:
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    return sorted(found.gates, key=lambda g: order.index(g.verdict))


def comparison_markdown(found: Comparison, current: str, baseline: str) -> str:
    """For a comment on a pull request: a table, and under it what got worse where. `current`, `baseline`: names."""
    rows = [
        [
            escape(cell.cell),
            escape(", ".join(dict.fromkeys(c.status.value for c in cell.changes)) or "same"),
            _quality(cell.quality),
            _cost(cell.latency),
            "<br>".join(f"{escape(g.metric)} {_cost(g)}" for g in cell.memory) or _DASH,
        ]
        for cell in found.cells.values()
    ]
    margins = found.margins
    return "\n".join(
        [
            f"## {escape(current, _LONG)} against {escape(baseline, _LONG)}: {_MARKS[found.verdict]}\n",
            table(["Cell", "Like the baseline?", "F1, points", "Median time", "Memory"], rows, "l"),
            *(part for cell in found.cells.values() for part in _details(cell)),
            f"Margins: {margins.points:g} points of F1, {margins.latency_percent:g} % of time, "
            f"{margins.memory_percent:g} % of peak memory; bounds are one-sided, 95 %. Only pass is green: "
            "inconclusive means that these documents cannot tell.\n",
        ]
    )


def _quality(gate: RegressionGate | None) -> str:
    if gate is None:
        return "not scored"
    if gate.difference is None:
        return _MARKS[gate.verdict]
    low = "" if gate.low is None else f" (at least {100 * gate.low:+.2f})"
    return f"{_MARKS[gate.verdict]} {100 * gate.difference:+.2f}{low}, n={gate.n}"


def _cost(gate: RegressionGate | None) -> str:
    if gate is None:
        return _DASH
    if gate.difference is None:
        return _MARKS[gate.verdict]
    bounds = "" if gate.low is None or gate.high is None else f" [{100 * gate.low:+.1f}, {100 * gate.high:+.1f}]"
    return f"{_MARKS[gate.verdict]} {100 * gate.difference:+.1f} %{bounds}"


def _details(cell: CellComparison) -> Sequence[str]:
    """What is not green or not the same; nothing of a cell that is both."""
    said = [f"- {change.status.value}: {escape(change.message, _LONG)}" for change in cell.changes]
    said += [
        f"- {_MARKS[gate.verdict]} {gate.kind.value}: {escape(gate.message, _LONG)}"
        for gate in cell.gates
        if gate.verdict is not Verdict.PASS
    ]
    quality = cell.quality
    fields = [] if quality is None else [f for f in quality.fields if f.worse][:_FIELDS]
    rows = [
        [escape(f.field), str(len(f.worse)), str(len(f.better)), f"{f.p:.3g}", escape(_listing(f.worse), _LONG)]
        for f in fields
    ]
    flips = [table(["Field", "Worse on", "Better on", "p (Holm)", "Documents"], rows, "lrrrl")] if rows else []
    if not said and not flips:
        return []
    parts = [f"<details><summary>{escape(cell.cell)}</summary>\n", "\n".join(said) + "\n", *flips, "</details>\n"]
    return [part for part in parts if part.strip()]


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _DOCUMENTS} more" if len(names) > _DOCUMENTS else ""
    return ", ".join(names[:_DOCUMENTS]) + more
