"""Answers that were held to a form beside free text: the same model, the same documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from harness.results import CellResult
from harness.statistics import paired_difference
from harness.structured import AnswerForm, satisfies
from reports.comparisons import Comparison, Scale, adjusted, compare
from reports.formatting import MISSING, escape, format_metric, format_value, table
from reports.summary import CellSummary, Summary
from reports.tables import difference, ratio, scored

__all__ = ["structured_parts"]

_INTRODUCTION = """\
Answers that could be nothing but a JSON object of all fields (`schema`) or a line for each field (`lines`), against
free text. *In the form asked for*: from the first character to the last; *Parsed*: the suite's forgiving parser found
at least one field. Differences are means over the documents that both answered (n) of a document's own share, so they
need not be what the two columns differ by; without an interval, every document differs alike. p is adjusted (Holm) for
the cells of a measure.
"""
_FORMS: Mapping[str, AnswerForm] = {"key-value": AnswerForm.LINES, "json": AnswerForm.SCHEMA}
"""What the project's own prompts ask for in words."""
_MEASURES = {
    "in_form": "In the form asked for, documents",
    "cut": "Cut off at the token limit %",
    "parse_rate": "Parsed %",
    "f1": "F1 %",
    "hallucination_rate": "Hallucination %",
    "latency_s": "Latency p50",
    "constraint_s": "Of it, ruling tokens out, p50",
}
_CONSTRAINT = "constraint_s"
_OF_NOISE = ("in_form", "latency_s")
"""What means something of random weights too."""
_METRICS = {"cut": "truncation_rate"}


def structured_parts(summary: Summary) -> Sequence[str]:
    """The section, in parts; empty if no cell's answers were held to a form with a free one beside it."""
    cells = {c.identity: c for c in summary.candidates if c.identity is not None}
    pairs = [
        (cell, AnswerForm(identity.strategy), free)
        for identity, cell in cells.items()
        if identity.strategy in list(AnswerForm)
        and (free := cells.get(replace(identity, strategy="single"))) is not None
    ]
    if not pairs:
        return []
    asked = {cell: _FORMS.get(one.prompt) for cell, one in summary.evidence.passes.items()}
    rows: dict[str, list[list[str]]] = {cell.cell: [] for cell, _, _ in pairs}
    for measure, name in _MEASURES.items():
        told = [pair for pair in pairs if measure != _CONSTRAINT and (measure in _OF_NOISE or not pair[0].unscored)]
        compared = adjusted([_against(measure, *pair, asked[pair[2].cell]) for pair in told])
        found = {c.a: c for c in compared}
        for cell, form, free in pairs:
            sides = [_shown(measure, cell, form), _shown(measure, free, asked[free.cell])]
            rows[cell.cell].append([escape(cell.cell), name, *sides, *_compared(found.get(cell.cell))])
    header = ["Cell", "Measure", "Held to the form", "Free text", "Difference in points, or ratio [95 %]", "p", "n"]
    return [
        "### Held to a form\n",
        _INTRODUCTION,
        table(header, [row for part in rows.values() for row in part], "llr"),
    ]


def _compared(found: Comparison | None) -> Sequence[str]:
    if found is None or not found.n:
        return ["", "", ""]
    shown = ratio(found) if found.scale is Scale.RATIO else difference(found)
    return [shown, "" if found.p is None else f"{found.p:.2g}", str(found.n)]


def _against(
    measure: str, cell: CellSummary, form: AnswerForm, free: CellSummary, free_form: AnswerForm | None
) -> Comparison:
    a, b = cell.result, free.result
    if measure in ("f1", "latency_s"):
        return compare(measure, a, b)
    found = paired_difference(_values(measure, a, form), _values(measure, b, free_form))
    return Comparison(
        metric=measure,
        scale=Scale.DIFFERENCE,
        a=a.cell,
        b=b.cell,
        value=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        n=found.n,
        changed=found.changed,
    )


def _values(measure: str, result: CellResult, form: AnswerForm | None) -> Mapping[str, float]:
    """By document, 0 or 1, or a share; only of documents of which it can be said."""
    answered = {d: r for d, r in result.readings.items() if r.failure is None}
    if measure == "in_form":
        return {} if form is None else {d: float(kept) for d, kept in _in_form(result, form).items()}
    if measure == "cut":
        return {d: float(r.stop == "length") for d, r in answered.items() if r.stop is not None}
    if measure == "parse_rate":
        return {d: float(response.parsable) for d, response in result.responses.items()}
    return result.score_values(measure)


def _in_form(result: CellResult, form: AnswerForm) -> Mapping[str, bool]:
    """Of each answer, whether it has the form; one that was cut off has not, wherever that was."""
    return {
        d: r.stop != "length" and satisfies(form, r.text or "") for d, r in result.readings.items() if r.failure is None
    }


def _shown(measure: str, cell: CellSummary, form: AnswerForm | None) -> str:
    if measure == "in_form":
        kept = {} if form is None else _in_form(cell.result, form)
        return f"{sum(kept.values())} of {len(kept)}" if kept else MISSING
    if measure == _CONSTRAINT:
        seconds = [r.phases[measure] for r in cell.result.readings.values() if measure in r.phases]
        return format_value(median(seconds), "s") if seconds else ""
    name = _METRICS.get(measure, measure)
    return format_metric(cell.metrics[name]) if measure == "latency_s" else scored(cell, name)
