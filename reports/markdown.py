"""report.md: for a stranger who must decide, and who distrusts benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reports import context, costs, method, mistakes, tables
from reports.figures import Figure
from reports.formatting import escape, format_full
from reports.summary import CellSummary, Slice, Summary

__all__ = ["report_markdown"]

_COUNTS = "C correct, W wrong, O omitted, H hallucinated, A correctly absent, U unanswered; defined under Method.\n"


def report_markdown(summary: Summary, figures: Sequence[Figure], log: str) -> str:
    """The whole report; `log` is markdown that names (and where possible links to) the evidence."""
    drawn = {f.name: _figure(f) for f in figures}
    parts = [
        f"# Evaluation of document reading: {escape(str(summary.corpus.get('name', 'unknown corpus')))}\n",
        context.headline(summary),
        _cautions(summary),
        _summary(summary),
        _overall(summary, drawn),
        _groups(summary, drawn),
        _fields(summary, drawn),
        _mistakes(summary),
        _failures(summary),
        _costs(summary, drawn),
        _controls(summary),
        _provenance(summary, log),
        _section("Method", method.METHOD, "### Metrics\n", method.metrics_table()),
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, *parts: str, level: int = 2) -> str:
    return "\n".join([f"{'#' * level} {title}\n", *(p for p in parts if p)])


def _figure(figure: Figure) -> str:
    return f"![{escape(figure.title, 200)}](figures/{figure.name}.png)\n\n*{escape(figure.caption, 1000)}*\n"


def _cautions(summary: Summary) -> str:
    found = context.cautions(summary)
    return "> **Before you read on**\n>\n" + "".join(f"> - {line}\n" for line in found) if found else ""


def _summary(summary: Summary) -> str:
    gates = summary.evidence.gates
    if gates:
        tally = {v: sum(g.verdict == v for g in gates) for v in ("pass", "fail", "inconclusive", "no-budget")}
        counted = ", ".join(f"{n} {v}" for v, n in tally.items())
        verdicts = f"**Gates:** {counted}. Only pass is green; no-budget means that nothing was asked.\n"
    else:
        verdicts = "No gate was judged in this log.\n"
    answers = _alone(summary.candidates[0]) if len(summary.candidates) == 1 else _winners(summary)
    compared = tables.comparisons_table(summary.comparisons) if summary.comparisons else ""
    return _section(
        "Summary",
        answers,
        verdicts,
        tables.gates_table(gates) if gates else "",
        "### Candidates against each other\n" if compared else "",
        compared,
    )


def _winners(summary: Summary) -> str:
    lines = []
    for w in summary.winners:
        reason = escape(w.reason, 1000)
        lines.append(
            f"- **{w.question}: {escape(w.cell)}** ({reason})\n" if w.cell else f"- **{w.question}:** {reason}\n"
        )
    return "".join(lines)


def _alone(cell: CellSummary) -> str:
    names = {
        "f1": "F1",
        "hallucination_rate": "hallucination",
        "latency_s": "median latency",
        "peak_rss_bytes": "peak RSS",
    }
    shown = ", ".join(f"{name} {format_full(cell.metrics[n])}" for n, name in names.items())
    answered = f"{cell.overall.answered} of {cell.overall.documents} documents answered"
    return f"**{tables.cell_name(cell)}:** {shown}; {answered}. One candidate: nothing to compare.\n"


def _overall(summary: Summary, drawn: Mapping[str, str]) -> str:
    if not summary.cells:
        return _section("Quality", "No cell was run.\n")
    return _section(
        "Quality",
        "Rates in percent with 95 % intervals over documents, of the documents that were answered.\n",
        tables.quality_table(summary.cells),
        drawn.get("quality", ""),
        "Accuracy means nothing without the floor beside it: what answering N/A to everything earns on the same "
        f"documents. {_COUNTS}",
        tables.counts_table(summary.cells),
        _silent(summary),
    )


def _silent(summary: Summary) -> str:
    silent = [tables.cell_name(c) for c in summary.candidates if not c.result.scores]
    return f"Without a single answer, and so left out of the details below: {', '.join(silent)}.\n" if silent else ""


def _groups(summary: Summary, drawn: Mapping[str, str]) -> str:
    cells = summary.shown
    choices: Mapping[str, Callable[[CellSummary], Mapping[str, Slice]]] = {
        "Category": lambda c: c.categories,
        "Stratum": lambda c: c.strata,
        "Document kind": lambda c: c.kinds,
    }
    parts = []
    for title, choose in choices.items():
        groups = [choose(c) for c in cells]
        if any(groups):
            parts += [f"### By {title.lower()}\n", tables.groups_table(title, cells, groups)]
        elif title != "Category" and cells:
            parts.append(f"The documents carry no {title.lower()}, so there is no such table.\n")
    parts.append(drawn.get("groups", ""))
    if any(c.metrics["line_item_f1"].n for c in cells):
        parts += ["### Line items\n", tables.line_items_table(cells)]
    return _section("Where it is good and where not", *parts) if cells else ""


def _fields(summary: Summary, drawn: Mapping[str, str]) -> str:
    parts = [_COUNTS + "n: documents that print the field or were given a value for it.\n"]
    for cell in summary.shown:
        parts += [f"### {tables.cell_name(cell)}\n", tables.fields_table(cell)]
    return _section("Fields", *parts, drawn.get("fields", ""), drawn.get("outcomes", "")) if summary.shown else ""


def _mistakes(summary: Summary) -> str:
    cells = summary.shown
    if not cells:
        return ""
    checks, notes = mistakes.diagnostics_table(cells), mistakes.notes_table(cells)
    worst = [part for c in cells for part in (f"#### {tables.cell_name(c)}\n", mistakes.worst_documents(c))]
    return _section(
        "Mistakes",
        "### By class\n",
        method.errors_note(),
        mistakes.errors_table(cells),
        "### Consistency of the answers\n",
        "Shares of the answers to which a check applies. A check needs no ground truth and makes no value right.\n",
        checks or "No check applies to any answer.\n",
        notes and "Documents by what the parser remarked about the response:\n",
        notes,
        "### Worst documents\n",
        "Up to ten answered documents per cell, the lowest F1 first; only the fields that were not right.\n",
        *worst,
    )


def _failures(summary: Summary) -> str:
    failed, loads = mistakes.failures_table(summary.cells), mistakes.loads_table(summary.cells)
    return _section(
        "Failures",
        failed or "Every document was answered.\n",
        loads and "Workers that failed to load, or were started again after a failure:\n",
        loads,
    )


def _costs(summary: Summary, drawn: Mapping[str, str]) -> str:
    cells = summary.cells
    if not cells:
        return ""
    phases = costs.phases_table(cells)
    return _section(
        "Latency and memory",
        "### Latency\n",
        costs.latency_table(cells),
        drawn.get("latency", ""),
        phases and "Median of each phase of a reading, as the backend tells them apart:\n",
        phases,
        costs.rates_table(cells),
        "### Loading\n",
        costs.load_table(cells),
        "### Memory\n",
        costs.memory_table(cells),
        drawn.get("memory", ""),
    )


def _controls(summary: Summary) -> str:
    if not summary.controls:
        return _section("Controls", "**No control was run: nothing shows that the scores mean what they say.**\n")
    return _section("Controls", context.controls_table(summary.controls))


def _provenance(summary: Summary, log: str) -> str:
    unjudged = [str(name) for name in summary.corpus.get("unjudged_images") or ()]
    images = f"### Images without ground truth\n\n{len(unjudged)}, not judged: {', '.join(map(escape, unjudged))}\n"
    return _section("Provenance", context.provenance_table(summary, log), images if unjudged else "")
