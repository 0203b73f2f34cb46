"""Every table of a report as CSV, and the raw numbers behind them: cells, fields, documents."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from functools import cache
from typing import Any

from harness.metrics import METRICS, Metric, Status
from harness.scoring import Counts, f1_of
from reports.measures import device_name
from reports.summary import CellSummary, Summary

__all__ = ["RAW", "cells_csv", "documents_csv", "fields_csv", "raw_csvs", "table_csvs", "to_csv"]

RAW = ("cells.csv", "fields.csv", "documents.csv", "measures.csv")
"""Names that no table of the report takes."""
Row = Sequence[str]
_HEADING = re.compile(r"^(#{2,6}) (.+)$")
_CELL_END = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[-:| ]+")
_ESCAPED = re.compile(r"\\([\\`*\[\]|$~#_])")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_SIGNED = re.compile(r"[+-][\d.]+(e[+-]?\d+)?( ?[%\w/]+)?( \[[-+\d., %\w?]*\])?")
_COUNTS = tuple(f.name for f in fields(Counts))
_METRIC = ("value", "low", "high", "n", "unit", "origin", "contaminated", "definition")
_ENDS = ("", "_low", "_high", "_n")
_RATES = ("f1", "precision", "recall", "hallucination_rate", "omission_rate")


def table_csvs(markdown: str) -> Mapping[str, bytes]:
    """Every table of a report by file name, made from its headings: `quality.csv`, `quality-2.csv`, ...

    Cells are as people read them in the report, without markdown; intervals stay in the cell. Tables of the same
    columns under one heading are one file, in which a first column has the line that stands above each.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[str, Sequence[Row]]]] = {}
    for title, above, (header, *rows) in _tables(markdown):
        alike.setdefault((title, tuple(header)), []).append((above, rows))
    found: dict[str, bytes] = {}
    for (title, header), parts in alike.items():
        stem = re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:80] or "table"
        name, number = f"{stem}.csv", 1
        while name in found or name in RAW:
            number += 1
            name = f"{stem}-{number}.csv"
        if len(parts) == 1:
            found[name] = to_csv([header, *parts[0][1]])
        else:
            found[name] = to_csv([["Of", *header], *([above, *row] for above, rows in parts for row in rows)])
    return found


def _tables(markdown: str) -> Iterator[tuple[str, str, Sequence[Row]]]:
    """Of each table: the headings that it stands under, the line above it, and its rows, the header first."""
    titles: dict[int, str] = {}
    above, rows = "", list[Row]()
    for line in [*markdown.split("\n"), ""]:
        if line.startswith("|"):
            if not _RULE.fullmatch(line):
                rows.append([_unescaped(cell) for cell in _CELL_END.split(line)[1:-1]])
            continue
        if rows:
            yield " ".join(titles.values()), above, rows
            rows = []
        if (heading := _HEADING.match(line)) is not None:
            level = len(heading[1])
            titles = {k: v for k, v in titles.items() if k < level} | {level: _unescaped(heading[2])}
        if line.strip():
            above = _unescaped(line)


def _unescaped(cell: str) -> str:
    """The text of a markdown cell: what `reports.formatting.escape` wrote, and marks of emphasis, undone."""
    text = re.sub(r"(?<!\\)(\*\*|`)|(?<![\\*])\*(?!\*)", "", cell.strip())
    text = re.sub(r"(?<!\\)\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return _ESCAPED.sub(r"\1", text)


def _inert(value: str) -> str:
    """A spreadsheet would run text that begins like a formula: such text gets an apostrophe before it."""
    if value[:1] in ("=", "@", "+", "-", "\t", "\r") and not _SIGNED.fullmatch(value):
        return f"'{value}" if value not in ("-", "+") else value
    return value


def to_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8, RFC 4180 quoting, LF; None is an empty field."""
    return _text(rows).encode("utf-8", "backslashreplace")


def _text(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    inert = ([_inert(value) if isinstance(value, str) else value for value in row] for row in rows)
    csv.writer(buffer, lineterminator="\n").writerows(inert)
    return buffer.getvalue()


def raw_csvs(summary: Summary) -> Mapping[str, bytes]:
    """The raw numbers by file name, SI units, empty where nothing was measured."""
    return {
        "cells.csv": cells_csv(summary),
        "fields.csv": fields_csv(summary),
        "documents.csv": documents_csv(summary),
    }


def cells_csv(summary: Summary) -> bytes:
    """A row for each cell and metric, then for each imported aggregate: value, interval, n, unit, origin."""
    header = ["cell", "role", "device", "status", "output_tokens_fixed", "metric", *_METRIC]
    rows = [
        [*told, name, *_metric(metric), METRICS[name].definition]
        for cell in summary.cells
        for told in [_cell(summary, cell)]
        for name, metric in cell.metrics.items()
    ]
    return to_csv([header, *rows, *_aggregates(summary)])


def _cell(summary: Summary, cell: CellSummary) -> list[Any]:
    device = device_name(summary, cell.result.loads, cell.result.readings.values())
    return [cell.cell, cell.result.role.value, device, cell.result.status, cell.fixed_length]


def _metric(metric: Metric) -> list[Any]:
    return [metric.value, metric.low, metric.high, metric.n, metric.unit, metric.status.value, metric.contaminated]


def _aggregates(summary: Summary) -> Iterator[Sequence[Any]]:
    """Imported numbers whose inferences are not known one by one."""
    for a in summary.evidence.aggregates:
        loads = summary.evidence.cells.get(a.cell, [])
        device = device_name(summary, loads, ())
        definition = a.definition + (f"; sensor: {a.sensor}" if a.sensor else "")
        number = [a.value, None, None, a.n, a.unit, Status.IMPORTED.value, None, definition]
        yield [a.cell, None, device, None, None, a.metric, *number]


def fields_csv(summary: Summary) -> bytes:
    """A row for each cell and judged field: rates with intervals, and the counts of outcomes."""
    header = ["cell", "field", "documents", "answered", *_COUNTS, *(f"{r}{end}" for r in _RATES for end in _ENDS)]
    rows = []
    for cell in summary.cells:
        for name, part in cell.fields.items():
            tally = [None if part.counts is None else getattr(part.counts, c) for c in _COUNTS]
            rates = [v for r in _RATES for m in [part.metrics[r]] for v in (m.value, m.low, m.high, m.n)]
            rows.append([cell.cell, name, part.documents, part.answered, *tally, *rates])
    return to_csv([header, *rows])


def documents_csv(summary: Summary) -> bytes:
    """A row for each cell and document that it was asked to read: failure, times, tokens, outcomes."""
    header = ["cell", "document", "kind", "stratum", "failure", "latency_s", "output_tokens", "stop", "calls"]
    rows = [_text([[*header, "batch_size", "parsable", "f1", *_COUNTS]]), *_documents(summary)]
    return "".join(rows).encode("utf-8", "backslashreplace")


def _documents(summary: Summary) -> Iterator[str]:
    """The rows as they are written: there may be a million, put together of few parts."""
    part, scored = cache(_part), cache(_scored)
    about = {
        name: _part(name, document.kind, document.stratum) for name, document in summary.evidence.documents.items()
    }
    not_run = _part("not-run", *[None] * (7 + len(_COUNTS)))
    for cell in summary.cells:
        result, name_of_cell = cell.result, _part(cell.cell)
        for name in result.documents:
            reading, score = result.readings.get(name), result.scores.get(name)
            if reading is None:
                yield f"{name_of_cell},{about[name]},{not_run}\n"
                continue
            failure = part(None if reading.failure is None else reading.failure.value)
            latency = "" if reading.latency_s is None else repr(reading.latency_s)
            told = part(reading.output_tokens, reading.stop, reading.calls, reading.batch_size)
            quality = _UNSCORED if score is None else scored(score.parsable, score.outcomes)
            yield f"{name_of_cell},{about[name]},{failure},{latency},{told},{quality}\n"


def _part(*values: Any) -> str:
    """Neighbours in a row; the empty place before them is there because a lone one is not written like others."""
    return _text([["", *values]])[1:-1]


_UNSCORED = "," * (1 + len(_COUNTS))


def _scored(parsable: bool, outcomes: bytes) -> str:
    counts = Counts.of(outcomes)
    return _part(int(parsable), f1_of(counts), *astuple(counts))
