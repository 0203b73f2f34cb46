"""What was run, on what, and what a reader must know before trusting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from harness.cells import Failure
from harness.gates import BLIND_RECALL_LIMIT, Verdict, judge_blind
from harness.scoring import SCORER_VERSION
from reports.documents import document_doubts
from reports.formatting import MISSING, escape, format_bytes, format_percent, table
from reports.published import published_cautions
from reports.summary import CellSummary, Summary, by_model
from reports.tables import cell_name, scored

__all__ = ["cautions", "controls_table", "headline", "provenance_table"]

_SHORT_HASH = 12


def headline(summary: Summary) -> str:
    """Which cells read which documents, on what machine, when."""
    corpus, run = summary.corpus, summary.run
    whole = corpus.get("whole")
    identity = str(corpus.get("identity", ""))[:_SHORT_HASH]
    name = escape(str(corpus.get("name", "unknown corpus")))
    judged = len(summary.documents)
    subset = f"{judged} of the {whole} documents" if isinstance(whole, int) and whole > judged else str(judged)
    lines = [
        f"- **Cells:** {_cells(summary)}",
        f"- **Documents:** {subset} of {name}" + (f" (identity `{identity}`)" if identity.isalnum() else ""),
        f"- **Machine:** {_machine({} if run is None else run.provenance)}",
        f"- **Run:** {'not recorded' if run is None else escape(run.started)}",
    ]
    return "\n".join(lines) + "\n"


def _cells(summary: Summary) -> str:
    """Candidates by model, then the controls."""
    found = []
    for model, cells in by_model(summary.candidates).items():
        ways = [c.cell.removeprefix(model).removeprefix("-") for c in cells]
        several = len(cells) > 1 and all(c.cell.startswith(model) for c in cells)
        found.append(f"{escape(model)} ({escape(', '.join(ways), 200)})" if several else cell_name(cells[0]))
    return ", ".join([*found, *(cell_name(c) for c in summary.controls)]) or "none"


def _machine(provenance: Mapping[str, Any]) -> str:
    flat = dict(_flatten(provenance))
    cores = flat.get("cpu.allowed_cores") or flat.get("cpu.logical_cores")
    memory = flat.get("limits.memory_bytes") or flat.get("memory_bytes")
    gpus = [str(g.get("name", "GPU")) for g in flat.get("gpus") or () if isinstance(g, Mapping)]
    found = [
        flat.get("cpu.model"),
        cores and f"{cores} cores",
        isinstance(memory, int) and f"{format_bytes(memory)} of memory",
        *(gpus or ["no GPU"] * ("gpus" in flat)),
        flat.get("os.distribution") or flat.get("os.system"),
        "python.version" in flat and f"Python {flat['python.version']}",
    ]
    return ", ".join(escape(str(part)) for part in found if part) or "not recorded"


def cautions(summary: Summary) -> Sequence[str]:
    """One sentence for each thing that makes this less than a whole, clean run."""
    evidence = summary.evidence
    found = [*published_cautions(summary)]
    if not evidence.runs:
        found.append("The log holds no run record: what was asked, of which corpus and on which machine is unknown.")
    if not any(c.result.readings for c in summary.cells) and not summary.tasks:
        found.append("**The log holds no readings: nothing was measured.**")
    if len(evidence.runs) > 1:
        found.append(f"The log holds {len(evidence.runs)} runs: it was resumed. {_run_differences(summary)}")
    if evidence.retried:
        kinds = Counter(r.failure for r in evidence.retried if r.failure is not None)
        counted = ", ".join(f"{n} x {failure}" for failure, n in sorted(kinds.items()))
        found.append(f"Failures of an earlier run were read again, and are not counted below: {counted}.")
    if evidence.skipped_lines:
        lines = "line was" if evidence.skipped_lines == 1 else "lines were"
        found.append(f"{evidence.skipped_lines} damaged or torn {lines} skipped.")
    for cell in summary.cells:
        if missing := cell.result.failures[Failure.NOT_RUN]:
            found.append(f"Partial: {cell_name(cell)} was not run on {missing} of {cell.overall.documents} documents.")
        lost = len(evidence.passes[cell.cell].documents) - cell.overall.documents
        if lost:
            found.append(
                f"{cell_name(cell)} was asked to read {lost} documents whose ground truth the log does not hold."
            )
    orphans = [c for c in evidence.readings if c not in evidence.passes and c not in evidence.task_passes]
    if orphans:
        found.append(f"Left out, because the log does not say what they were asked: {', '.join(map(escape, orphans))}.")
    if summary.corpus.get("sampled_from"):
        of = f" of {whole} documents" if isinstance(whole := summary.corpus.get("whole"), int) else ""
        found.append(f"The documents are a sample of a larger corpus{of}: other documents would give other numbers.")
    sizes: dict[int, list[str]] = {}
    for cell in summary.candidates:
        sizes.setdefault(cell.overall.documents, []).append(cell_name(cell))
    if len(sizes) > 1:
        shares = "; ".join(f"{n} by {', '.join(names)}" for n, names in sizes.items())
        found.append(
            f"Not every candidate was asked to read all {len(summary.documents)} documents: {shares}. Each rate is "
            "over a cell's own documents, each comparison over those that both read."
        )
    if (beside := summary.evidence.disturbance) is not None:
        found.append(f"{beside[0].upper()}{beside[1:]}: no time, rate or energy judges anything.")
    if random := [cell_name(c) for c in summary.candidates if c.is_random]:
        found.append(f"Of random weights, so that only times and bytes mean anything: {', '.join(random)}.")
    found += [
        f"Times of {cell_name(cell)} judge nothing: {escape(why, 300)}."
        for cell in summary.cells
        if (why := cell.metrics["latency_s"].contaminated) not in (None, beside)
    ]
    found += [escape(doubt, 600) for doubt in document_doubts(summary)]
    if fixed := [cell_name(c) for c in summary.candidates if c.unscored and not c.is_random and c.overall.answered]:
        found.append(f"Answers made equally long, whatever they say, and so not scored: {', '.join(fixed)}.")
    return found


def _run_differences(summary: Summary) -> str:
    first, last = (
        {
            "corpus": r.corpus.get("identity"),
            "prompt": r.prompt.get("fingerprint"),
            **dict(_flatten(r.provenance)),
        }
        for r in (summary.evidence.runs[0], summary.evidence.runs[-1])
    )
    changed = sorted(k for k in first.keys() | last.keys() if first.get(k) != last.get(k))
    if not changed:
        return "Corpus, prompt and provenance are the same in the first and the last of them."
    return f"**Between the first and the last of them these differ: {', '.join(map(escape, changed))}.**"


def controls_table(controls: Sequence[CellSummary]) -> str:
    """Each control with what it must show, and whether it does."""
    rows = []
    for cell in controls:
        expected, verdict = _control_verdict(cell)
        m = cell.metrics
        shown = [scored(cell, n) for n in ("accuracy", "floor_accuracy", "accuracy_above_floor", "recall")]
        rows.append([cell_name(cell), expected, *shown, str(m["accuracy"].n), verdict])
    header = [
        "Control",
        "Must show",
        "Accuracy %",
        "Floor %",
        "Above floor, points",
        "Recall %",
        "n",
        "Verdict",
    ]
    return table(header, rows, "llrrrrrl")


def _control_verdict(cell: CellSummary) -> tuple[str, str]:
    m = cell.metrics
    if cell.unscored:
        why = "its weights are random" if cell.is_random else "its answers were made equally long"
        return f"nothing: {why}", "not judged"
    if cell.cell.startswith("blind:"):
        expected = f"recall of at most {format_percent(BLIND_RECALL_LIMIT)} %: it was shown blank pages"
        return expected, _BLIND_WORDS[judge_blind(m).verdict]
    if cell.cell == "all-na":
        expected = "exactly the floor, and no value given"
        values = (m["accuracy"].value, m["floor_accuracy"].value, m["value_rate"].value)
        if None in values:
            return expected, MISSING
        return expected, "as it must be" if values[0] == values[1] and values[
            2
        ] == 0 else "**OFF: do not trust the scores**"
    return "not stated", "read it yourself"


_BLIND_WORDS = MappingProxyType(
    {
        Verdict.PASS: "as it must be",
        Verdict.FAIL: "**OFF: right without seeing the page**",
        Verdict.INCONCLUSIVE: "too few documents to tell",
    }
)


def provenance_table(summary: Summary, log: str) -> str:
    """Everything recorded about the run, flattened."""
    run = summary.run
    rows = [
        ["evidence", log],
        ["evidence SHA-256", f"`{summary.evidence_sha256}`"],
        ["scorer version", SCORER_VERSION],
    ]
    if run is not None:
        parts: Mapping[str, Any] = {
            "corpus": {k: v for k, v in run.corpus.items() if k != "unjudged_images"},
            "prompt": run.prompt,
            "options": run.options,
            **run.provenance,
        }
        rows += [[escape(name), escape(_text(name, value), 200)] for name, value in _flatten(parts)]
    return table(["What", "Value"], rows, "l")


def _text(name: str, value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{value} ({format_bytes(value)})"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
