"""report.md: for a stranger who must decide, and who distrusts benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.evidence import GateRecord
from harness.gates import Verdict
from reports import context, costs, method, mistakes, tables
from reports.comparisons import against_leaders
from reports.contamination import contamination_parts
from reports.decisions import Decisions, decide
from reports.deployment import deployment_parts
from reports.device_memory import device_memories, device_memory_parts
from reports.devices import device_parts
from reports.energy import energy_parts
from reports.figures import Figure
from reports.formatting import escape, format_full
from reports.images import preprocessing_parts
from reports.models import models_parts
from reports.prompts import prompts_parts
from reports.published import published_parts
from reports.quantization import quantization_parts
from reports.recommendations import recommendations_parts
from reports.regression import regression_parts
from reports.repeats import determinism_parts
from reports.roofline import roofline_parts
from reports.routing import routing_parts
from reports.scenes import scenes_parts
from reports.strategies import strategies_parts
from reports.structured import structured_parts
from reports.summary import CellSummary, Slice, Summary, by_length
from reports.throughput import throughput_parts

__all__ = ["report_markdown"]

_COUNTS = "C correct, W wrong, O omitted, H hallucinated, A correctly absent, U unanswered; defined under Method.\n"
_GATES = 12
"""More gates than this have a section of their own, and the summary shows those that are not settled."""


def report_markdown(summary: Summary, figures: Sequence[Figure], log: str, decisions: Decisions | None = None) -> str:
    """The whole report; `log` is markdown that names (and where possible links to) the evidence.

    `decisions`: those of the summary; worked out here if not given.
    """
    drawn = {f.name: _figure(f) for f in figures}
    decided = decisions or decide(summary)
    parts = [
        f"# Evaluation of document reading: {escape(str(summary.corpus.get('name', 'unknown corpus')))}\n",
        context.headline(summary),
        _cautions(summary),
        _summary(summary, drawn),
        _titled("As published, and recomputed", published_parts(summary)),
        _titled("Recommendations", recommendations_parts(decided.recommended)),
        _titled("Models", models_parts(summary.candidates)),
        _overall(summary, drawn),
        _groups(summary, drawn),
        _fields(summary, drawn),
        _titled("Quantization", quantization_parts(summary, drawn)),
        _titled("Strategies", [*strategies_parts(summary.candidates), *structured_parts(summary)]),
        _titled("Prompts", prompts_parts(summary)),
        _titled("Picture understanding", scenes_parts(summary, drawn)),
        _titled("Against the baseline", regression_parts(summary.evidence.gates)),
        _mistakes(summary),
        _failures(summary),
        _costs(summary, drawn),
        _titled("Device memory", device_memory_parts(device_memories(summary.cells), drawn)),
        _titled("Throughput", throughput_parts(summary.sweeps, drawn)),
        _titled(
            "Distance from the hardware's limit", roofline_parts(summary.distances, summary.evidence.ceilings.values())
        ),
        _titled("Energy", energy_parts(summary.cells)),
        _titled("Quality against cost", [pareto] if (pareto := drawn.get("pareto")) else []),
        _titled("Devices", device_parts(summary, drawn)),
        _titled("Deployment", deployment_parts(decided.deployed)),
        _titled("Hybrid routing", routing_parts(decided.routed, drawn, decided.deployed.prices.currency)),
        _titled("Preprocessing", preprocessing_parts(summary.candidates)),
        _titled("Determinism", determinism_parts(summary.repeats, [c.result for c in summary.candidates])),
        _controls(summary),
        _gates(summary),
        _provenance(summary, log),
        _section("Method", method.METHOD, "### Metrics\n", method.metrics_table()),
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, *parts: str, level: int = 2) -> str:
    return "\n".join([f"{'#' * level} {title}\n", *(p for p in parts if p)])


def _titled(title: str, parts: Sequence[str]) -> str:
    return _section(title, *parts) if parts else ""


def _figure(figure: Figure) -> str:
    return f"![{escape(figure.title, 200)}](figures/{figure.name}.png)\n\n*{escape(figure.caption, 1000)}*\n"


def _cautions(summary: Summary) -> str:
    found = context.cautions(summary)
    return "> **Before you read on**\n>\n" + "".join(f"> - {line}\n" for line in found) if found else ""


def _summary(summary: Summary, drawn: Mapping[str, str]) -> str:
    gates = summary.evidence.gates
    if gates:
        tally = {v: sum(g.verdict == v for g in gates) for v in Verdict}
        counted = ", ".join(f"{n} {v}" for v, n in tally.items() if n or v is not Verdict.RECORDED)
        verdicts = f"**Gates:** {counted}. Only pass is green; no-budget means that nothing was asked.\n"
    else:
        verdicts = "No gate was judged in this log.\n"
    answers = _alone(summary.candidates[0]) if len(summary.candidates) == 1 else _winners(summary)
    pairs = against_leaders(summary.comparisons, {w.metric: w.leader for w in summary.winners})
    compared = tables.comparisons_table(pairs) if pairs else ""
    some = len(pairs) < len(summary.comparisons)
    every = "" if summary.only_leaders else "; report.json has every pair"
    return _section(
        "Summary",
        answers,
        *(_main_tables(summary.candidates) if len(summary.candidates) > 1 else []),
        drawn.get("overview", ""),
        verdicts,
        _unsettled(gates) if len(gates) > _GATES else tables.gates_table(gates) if gates else "",
        "### Candidates against each other\n" if compared else "",
        f"Each against the one with the best value, p adjusted (Holm) for their number{every}.\n"
        if compared and (some or summary.only_leaders)
        else "",
        compared,
    )


def _main_tables(cells: Sequence[CellSummary]) -> Sequence[str]:
    """One table for each output length: the times of unlike lengths do not belong beside each other."""
    groups = by_length(cells)
    return [
        part
        for length, members in groups.items()
        for part in (tables.length_note(length, groups), tables.main_table(members))
    ]


def _unsettled(gates: Sequence[GateRecord]) -> str:
    """Of many gates, those that need somebody's attention."""
    found = [g for g in gates if g.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    where = f"All {len(gates)} are listed under Gates.\n"
    return f"{tables.gates_table(found)}\n{where}" if found else f"None failed, and none is undecided. {where}"


def _gates(summary: Summary) -> str:
    gates = summary.evidence.gates
    return _section("Gates", tables.gates_table(gates)) if len(gates) > _GATES else ""


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
    silent = [tables.cell_name(c) for c in summary.candidates if not c.overall.answered]
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
        told = summary.detailed if title == "Category" else cells
        groups = [choose(c) for c in told]
        if any(groups):
            parts += [f"### By {title.lower()}\n", tables.groups_table(title, told, groups)]
        elif title != "Category" and cells:
            parts.append(f"The documents carry no {title.lower()}, so there is no such table.\n")
    parts.append(drawn.get("groups", ""))
    if any(c.metrics["line_item_f1"].n for c in cells):
        parts += ["### Line items\n", tables.line_items_table(cells)]
    return _section("Where it is good and where not", _detailed(summary), *parts) if cells else ""


def _detailed(summary: Summary) -> str:
    """Which cells the details are of, where not of all."""
    if len(summary.detailed) == len(summary.shown):
        return ""
    named = ", ".join(tables.cell_name(c) for c in summary.detailed)
    return f"Categories, fields and mistakes are told of one precision of each model: {named}. report.json has all.\n"


def _fields(summary: Summary, drawn: Mapping[str, str]) -> str:
    parts = [_COUNTS + "n: documents that print the field or were given a value for it.\n"]
    for cell in summary.detailed:
        parts += [f"### {tables.cell_name(cell)}\n", tables.fields_table(cell)]
    return _section("Fields", *parts, drawn.get("fields", ""), drawn.get("outcomes", "")) if summary.shown else ""


def _mistakes(summary: Summary) -> str:
    cells = summary.detailed
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
    watched = contamination_parts(cells)
    return _section(
        "Latency and memory",
        "### Latency\n",
        *_latencies(cells, drawn),
        *(["### Contamination\n", *watched] if watched else []),
        "### Loading\n",
        costs.load_table(cells),
        "### Memory\n",
        costs.memory_table(cells),
        drawn.get("memory", ""),
    )


def _latencies(cells: Sequence[CellSummary], drawn: Mapping[str, str]) -> Sequence[str]:
    """Tables of times, apart for each output length that was fixed; the figure after the first."""
    groups = by_length(cells)
    parts = []
    for i, (length, members) in enumerate(groups.items()):
        phases = costs.phases_table(members)
        parts += [
            tables.length_note(length, groups),
            costs.latency_table(members),
            "" if i else drawn.get("latency", ""),
            phases and "Median of each phase of a reading, as the backend tells them apart:\n",
            phases,
            costs.served_table(members),
            costs.rates_table(members),
        ]
    return [*parts, costs.unmeasured_rates(cells)]


def _controls(summary: Summary) -> str:
    if not summary.controls:
        if any(r.is_control for r in summary.tasks) and not any(c.result.scores for c in summary.candidates):
            return _section("Controls", "Those of the tasks about pictures stand beside their answers.\n")
        return _section("Controls", "**No control was run: nothing shows that the scores mean what they say.**\n")
    return _section("Controls", context.controls_table(summary.controls))


def _provenance(summary: Summary, log: str) -> str:
    unjudged = [str(name) for name in summary.corpus.get("unjudged_images") or ()]
    images = f"### Images without ground truth\n\n{len(unjudged)}, not judged: {', '.join(map(escape, unjudged))}\n"
    profile = summary.evidence.profile
    return _section(
        "Provenance",
        context.provenance_table(summary, log),
        images if unjudged else "",
        "" if profile is None else method.profile_note(profile),
    )
