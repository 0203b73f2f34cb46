"""Several logs beside each other: several machines, or several runs. Only what is comparable is compared."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.cells import Role
from harness.evidence import DocumentRecord, RunRecord
from harness.results import CellResult
from harness.scoring import SCORER_VERSION
from reports import context
from reports.campaign_pictures import Pictures, picture_parts
from reports.comparisons import Comparison, Scale, adjusted, compare
from reports.csvs import to_csv
from reports.devices import devices_json, grid_parts
from reports.formatting import escape, table
from reports.measures import Grid, Measure, measures
from reports.picture_measures import PictureMeasures, Unanswered, picture_measures, unanswered
from reports.summary import Summary
from reports.tables import difference, ratio
from reports.winners import Winner, decide

__all__ = ["Campaign", "Log", "campaign", "campaign_json", "campaign_markdown", "labels", "measures_csv"]

CAMPAIGN_SCHEMA = 1
_QUESTIONS = MappingProxyType(
    {
        "f1": "Best quality",
        "latency_s": "Fastest",
        "peak_vram_bytes": "Least device memory",
        "peak_rss_bytes": "Least host memory",
        "energy_j": "Most efficient (energy of a document)",
    }
)
_PAIRED = ("f1", "latency_s")
"""What the same cell is compared on in several logs."""
_BARE = DocumentRecord(document="", truth={})
_METHOD = f"""\
Each log has a report of its own, which the table of logs links to. Here a value is compared with others only if all of
this agrees: corpus, documents (with image and ground truth) and prompt; of quality the scorer, which is version
{SCORER_VERSION} for every answer, for all are scored anew from the raw text; of times, memory and energy also the
output length, what measured them, and whether they were measured here or imported. Of pictures, their truth, the words
of the questions, and that most of each task were answered, stand for corpus, documents and prompt. An imported number
that has no single inferences behind it keeps the definition of its source. Of values that do not agree, the larger
group is compared, and the rest is listed with the reason. There is a winner only where it is ahead of every other one
by more than chance explains: paired by document, 95 %, p adjusted by Holm's method for the number of comparisons.
Peaks of memory are single maxima, and are compared as such.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a campaign says of one log."""

    label: str
    run: RunRecord | None
    """The latest of the log."""
    imported: Mapping[str, Any] | None
    sha256: str
    skipped_lines: int
    documents: int
    """That any cell was asked to read."""
    questions: int
    """About pictures, that any cell was asked."""
    candidates: int
    cautions: Sequence[str]
    measures: Sequence[Measure]
    pictures: PictureMeasures
    unanswered: Sequence[Unanswered]
    """Cells that did not answer all that they were asked about pictures."""
    results: Mapping[str, CellResult]
    """The candidates by cell, each named after the log too, and without its answers."""

    @classmethod
    def of(cls, label: str, summary: Summary) -> Log:
        """What a campaign says of a log; it holds on to none of its readings."""
        asked: dict[tuple[str, ...], Mapping[str, DocumentRecord]] = {}
        results = {}
        for cell, result in ((c.cell, c.result) for c in summary.candidates):
            bare = asked.setdefault(tuple(result.documents), dict.fromkeys(result.documents, _BARE))
            results[cell] = result.for_comparison(f"{label}: {cell}", bare, result.places)
        return cls(
            label=label,
            run=summary.run,
            imported=summary.evidence.imported,
            sha256=summary.evidence_sha256,
            skipped_lines=summary.evidence.skipped_lines,
            documents=len(summary.documents),
            questions=len({key for r in summary.tasks for key in r.questions}),
            candidates=len(results) + len({r.cell for r in summary.tasks if r.role is Role.CANDIDATE}),
            cautions=context.cautions(summary),
            measures=measures(summary, label),
            pictures=picture_measures(summary, label),
            unanswered=unanswered(summary, label),
            results=results,
        )

    @property
    def corpus(self) -> Mapping[str, Any]:
        """As recorded; empty where the record was lost."""
        return self.run.corpus if self.run else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Everything that the campaign report says."""

    logs: Sequence[Log]
    grids: Sequence[Grid]
    pictures: Pictures
    winners: Sequence[Winner]
    """Over all logs, among the values that may be compared."""
    pairs: Sequence[Comparison]
    """The same cell in two logs, the later one against the first, each metric one family; of documents only."""


def labels(logs: Sequence[Path]) -> Sequence[str]:
    """A folder name for each log: that of the folder it lies in, made unique among the others."""
    found: list[str] = []
    for log in logs:
        name = re.sub(r"[^\w.-]+", "-", log.resolve().parent.name, flags=re.ASCII).strip(".-") or "log"
        taken = {*(label.casefold() for label in found), "figures", "tables"}
        label, number = name, 1
        while label.casefold() in taken:  # file systems may not tell upper from lower case
            number += 1
            label = f"{name}-{number}"
        found.append(label)
    return found


def campaign(logs: Sequence[Log], found: Sequence[Grid], pictures: Pictures) -> Campaign:
    """Compare what is comparable over the candidates of all logs; `found`: the grids of their measures, and
    `pictures`: of those about pictures."""
    results = _aligned(logs)
    return Campaign(
        logs=logs,
        grids=found,
        pictures=pictures,
        winners=[
            _winner(g, question, results) for name, question in _QUESTIONS.items() for g in found if g.name == name
        ],
        pairs=[pair for g in found if g.name in _PAIRED for pair in _same_cell(g, results)],
    )


def _aligned(logs: Sequence[Log]) -> Mapping[tuple[str, str], CellResult]:
    """All results by log and cell; those that were asked the same share the documents' places, and so compare fast."""
    asked: dict[tuple[str, ...], tuple[Mapping[str, DocumentRecord], Mapping[str, int]]] = {}
    found = {}
    for log in logs:
        for cell, result in log.results.items():
            shared = asked.setdefault(tuple(result.documents), (result.documents, result.places))
            found[log.label, cell] = result.for_comparison(result.cell, *shared)
    return found


def _winner(grid: Grid, question: str, results: Mapping[tuple[str, str], CellResult]) -> Winner:
    """The best of the values that may be compared, if it is told apart from every other one."""
    values = {results[m.log, m.cell].cell: m.metric for m in grid.comparable}
    candidates = [r for r in results.values() if r.cell in values]
    found = decide(grid.name, question, candidates, values, [])
    refused = sum(m.metric.value is not None for m in grid.measures) - len(values)
    return replace(found, reason=f"{found.reason}; {refused} not compared, see below") if refused else found


def _same_cell(grid: Grid, results: Mapping[tuple[str, str], CellResult]) -> Sequence[Comparison]:
    """Each cell that several logs hold, against the first of them."""
    alike: dict[str, list[Measure]] = {}
    for m in grid.comparable:
        alike.setdefault(m.column, []).append(m)
    return adjusted(
        [
            compare(grid.name, results[m.log, m.cell], results[first.log, first.cell])
            for first, *others in alike.values()
            for m in others
            if m.log != first.log
        ]
    )


def campaign_markdown(found: Campaign, drawn: Mapping[str, str], reports: Mapping[str, str]) -> str:
    """The campaign report. `drawn`: figures as markdown, by name; `reports`: by label, where a log's own report is."""
    devices = dict.fromkeys(m.device for g in (*found.grids, *found.pictures.costs) for m in g.measures)
    not_all = [u for log in found.logs for u in log.unanswered]
    pictures = picture_parts(found.pictures, not_all, drawn.get("pictures", ""))
    nothing = "No document was read.\n" if pictures else "Nothing was measured.\n"
    parts = [
        f"# Evaluation of document reading: {len(found.logs)} logs\n",
        f"- **Logs:** {', '.join(escape(log.label) for log in found.logs)}\n"
        f"- **Devices:** {', '.join(map(escape, devices)) or 'none'}\n",
        _cautions(found.logs),
        _section("Summary", _winners(found.winners) or nothing),
        _section("Logs", _logs_table(found.logs, reports)),
        _section("Devices", *grid_parts(found.grids, drawn)) if found.grids else "",
        _section("Pictures", *pictures) if pictures else "",
        _section(
            "The same cell in several logs",
            "Against the first log that holds it, on the same documents; p adjusted (Holm) within each metric.\n",
            _pairs_table(found.pairs) or "No cell is in two logs with values that may be compared.\n",
        ),
        _section("Method", _METHOD),
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, *parts: str) -> str:
    return "\n".join([f"## {title}\n", *(p for p in parts if p)])


def _cautions(logs: Sequence[Log]) -> str:
    lines = []
    for log in logs:
        first, *more = [*log.cautions, ""]
        if first:
            rest = f" {len(more) - 1} more in its report." if len(more) > 1 else ""
            lines.append(f"> - {escape(log.label)}: {first}{rest}\n")
    return "> **Before you read on**\n>\n" + "".join(lines) if lines else ""


def _winners(winners: Sequence[Winner]) -> str:
    return "".join(
        f"- **{w.question}: {escape(w.cell)}** ({escape(w.reason, 1000)})\n"
        if w.cell
        else f"- **{w.question}:** {escape(w.reason, 1000)}\n"
        for w in winners
    )


def _logs_table(logs: Sequence[Log], reports: Mapping[str, str]) -> str:
    rows, questions = [], any(log.questions for log in logs)
    for log in logs:
        run, imported = log.run, log.imported
        rows.append(
            [
                f"[{escape(log.label)}]({reports[log.label]})",
                "measured" if imported is None else f"imported ({escape(str(imported.get('kind')))})",
                escape(str(log.corpus.get("name", "not recorded"))),
                str(log.documents),
                *([str(log.questions)] if questions else []),
                escape(str(run.prompt.get("fingerprint") or "not recorded")) if run else "not recorded",
                escape(run.started) if run else "not recorded",
                str(log.candidates),
                str(log.skipped_lines),
                f"`{log.sha256[:12]}`",
            ]
        )
    header = ["Log", "Origin", "Corpus", "Documents", *(["Questions about pictures"] if questions else [])]
    header += ["Prompt", "Started", "Candidates", "Damaged lines", "SHA-256"]
    return table(header, rows, "lllrrllrrl" if questions else "lllrllrrl")


def _pairs_table(pairs: Collection[Comparison]) -> str:
    rows = []
    for c in pairs:
        points = c.scale is Scale.DIFFERENCE
        what = "document F1, difference in points" if points else "latency, ratio"
        told = "yes" if c.above or c.below else "no"
        p = "" if c.p is None else f"{c.p:.2g}"
        names = f"{escape(c.a)} against {escape(c.b)}"
        rows.append([names, what, difference(c) if points else ratio(c), told, p, str(c.n)])
    return table(["Pair", "Of", "Estimate [95 %]", "Apart", "p", "n"], rows, "llrlrr") if rows else ""


def campaign_json(found: Campaign) -> str:
    """The campaign for programs: keys in a fixed order, ending with a newline."""
    told: dict[str, Any] = {
        "campaign_schema": CAMPAIGN_SCHEMA,
        "scorer_version": SCORER_VERSION,
        "logs": [
            {
                "label": log.label,
                "sha256": log.sha256,
                "imported": log.imported,
                "corpus": dict(log.corpus),
                "prompt": dict(log.run.prompt) if log.run else None,
                "skipped_lines": log.skipped_lines,
            }
            for log in found.logs
        ],
        "winners": [asdict(w) for w in found.winners],
        "metrics": devices_json(found.grids),
        **({"pictures": devices_json(found.pictures.grids)} if found.pictures.grids else {}),
        "pairs": [asdict(c) for c in found.pairs],
    }
    return json.dumps(told, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def measures_csv(found: Campaign) -> bytes:
    """A row for each log, cell and metric: the raw number, and why it is not comparable where it is not."""
    header = ["log", "cell", "device", "metric", "value", "low", "high", "n", "unit", "origin", "missing", "refused"]
    rows = [
        [
            *(m.log, m.cell, m.device, m.name, m.metric.value, m.metric.low, m.metric.high, m.metric.n, m.metric.unit),
            *(m.basis.get("origin"), m.missing, grid.refusal(m) if m.metric.value is not None else None),
        ]
        for grid in (*found.grids, *found.pictures.grids)
        for m in grid.measures
    ]
    return to_csv([header, *rows])
