"""What went wrong: error classes, consistency checks, the worst documents, and documents without an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.cells import Failure
from harness.scoring.outcomes import DocumentScore, ErrorClass, Outcome
from reports.formatting import MISSING, escape, format_percent, format_seconds, table
from reports.summary import CellSummary
from reports.tables import cell_name, format_share

__all__ = [
    "diagnostics_table",
    "errors_table",
    "failures_table",
    "loads_table",
    "notes_table",
    "worst_documents",
]

_WORST = 10
_VALUE = 160
"""Characters of a value that the tables show: an address is often wrong at its end."""
_LISTED = 20
"""How many document names one row of the failures table spells out."""
_RIGHT = (Outcome.CORRECT, Outcome.ABSENT)


def errors_table(cells: Sequence[CellSummary]) -> str:
    """Wrong values by class, and the other ways of missing a field; one column per cell."""
    tallies = [Counter(_errors(c)) for c in cells]
    classes = [e.value for e in ErrorClass]
    always = [f"wrong: {c}" for c in classes] + ["omitted", "hallucinated", "unanswered"]
    names = sorted({n for t in tallies for n in t} | set(always), key=_error_order)
    rows = [
        [name, *(str(t[name]) if c.result.scores else "–" for c, t in zip(cells, tallies, strict=True))]
        for name in names
    ]
    return table(["Error", *map(cell_name, cells)], rows, "lr")


def _errors(cell: CellSummary) -> Iterator[str]:
    for score in cell.result.scores.values():
        for field in score.fields.values():
            if field.outcome not in _RIGHT:
                yield (field.outcome.value if field.error is None else f"{field.outcome.value}: {field.error.value}")


def _error_order(name: str) -> tuple[int, int]:
    outcome, _, error = name.partition(": ")
    outcomes, classes = [o.value for o in Outcome], [e.value for e in ErrorClass]
    return outcomes.index(outcome), classes.index(error) if error else -1


def diagnostics_table(cells: Sequence[CellSummary]) -> str:
    """Checks that need no truth, as the share of answers on which they hold; empty if none applies."""
    held: list[Counter[str]] = []
    applied: list[Counter[str]] = []
    for cell in cells:
        checks = [check for s in cell.result.scores.values() for check in s.diagnostics.items()]
        held.append(Counter(name for name, holds in checks if holds))
        applied.append(Counter(name for name, _ in checks))
    names = sorted({name for tally in applied for name in tally})
    rows = [
        [escape(name), *(format_share(h[name], a[name]) for h, a in zip(held, applied, strict=True))] for name in names
    ]
    return table(["Check", *map(cell_name, cells)], rows, "lr") if rows else ""


def notes_table(cells: Sequence[CellSummary]) -> str:
    """What the parser remarked about the responses, by documents; empty if it had nothing to say."""
    tallies = [
        Counter(note for s in c.result.scores.values() for note in {n.split(":")[0] for n in s.notes}) for c in cells
    ]
    names = sorted({name for tally in tallies for name in tally})
    rows = [[escape(name), *(str(t[name]) for t in tallies)] for name in names]
    return table(["Note on the response", *map(cell_name, cells)], rows, "lr") if rows else ""


def worst_documents(cell: CellSummary) -> str:
    """The answered documents with the lowest F1, each with the fields that were not right."""
    f1 = cell.result.document_f1()
    ranked = sorted((value, name) for name, value in f1.items() if value < 1)[:_WORST]
    if not ranked:
        return "No answered document has an F1 below 100 %.\n" if f1 else "No document was answered.\n"
    return "\n".join(_document(cell, name, value) for value, name in ranked)


def _document(cell: CellSummary, name: str, f1: float) -> str:
    score, record = cell.result.scores[name], cell.result.documents[name]
    traits = [escape(t) for t in (record.kind, record.stratum, record.layout) if t is not None]
    right = sum(f.outcome in _RIGHT for f in score.fields.values())
    head = ", ".join([f"F1 {format_percent(f1)} %", *traits, f"{right} of {len(score.fields)} fields right"])
    return f"**{escape(name, 60)}** ({head})\n\n{_wrong_fields(score)}"


def _wrong_fields(score: DocumentScore) -> str:
    rows = []
    for field in score.fields.values():
        if field.outcome not in _RIGHT:
            why = f" ({field.error.value})" if field.error else ""
            expected = "*absent*" if field.truth is None else escape(field.truth, _VALUE)
            got = "*nothing*" if field.answer is None else escape(field.answer, _VALUE)
            rows.append([escape(field.field), expected, got, f"{field.outcome.value}{why}"])
    return table(["Field", "Expected", "Got", "Outcome"], rows, "l")


def failures_table(cells: Sequence[CellSummary]) -> str:
    """Documents without an answer, by cell, failure and message; empty if every document was answered."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        for document in cell.result.documents:
            reading = cell.result.readings.get(document)
            if reading is None:
                key = (cell_name(cell), Failure.NOT_RUN.value, "the log holds no reading of it")
            elif reading.failure is not None:
                key = (cell_name(cell), reading.failure.value, reading.message or "")
            else:
                continue
            groups.setdefault(key, []).append(document)
    rows = [
        [cell, failure, str(len(names)), _listing(names), escape(message, 300)]
        for (cell, failure, message), names in groups.items()
    ]
    return table(["Cell", "Failure", "Documents", "Which", "Message"], rows, "llrll") if rows else ""


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(escape(name, 60) for name in names[:_LISTED]) + more


def loads_table(cells: Sequence[CellSummary]) -> str:
    """Every start of a worker that was a restart or failed; empty if each cell loaded once and well."""
    rows = []
    for cell in cells:
        for load in cell.result.loads:
            if load.failure is not None or load.restart:
                took = MISSING if load.load_s is None else format_seconds(load.load_s)
                failure = load.failure.value if load.failure else "loaded"
                rows.append([cell_name(cell), str(load.restart), failure, took, escape(load.message or "", 300)])
    return table(["Cell", "Restart", "Ended as", "Load time", "Message"], rows, "lrlrl") if rows else ""
