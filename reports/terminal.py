"""The one table that a test run prints at its end."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.metrics import Status
from reports.documents import document_doubts
from reports.formatting import format_metric, shorten
from reports.scenes import task_lines
from reports.summary import CellSummary, Summary, by_length

__all__ = ["summary_lines"]

_WIDTH = 100
_DASH = "–"


def summary_lines(summary: Summary) -> Sequence[str]:
    """At most 100 columns: cell, F1 with interval, hallucination, median and p95 latency, peak memory, status.

    Below it, which cells read a sample of the documents, and which were asked about pictures.
    """
    about_pictures = task_lines(summary)
    if not summary.cells:
        return about_pictures or ["no cell was run"]
    groups = by_length(summary.cells)
    cells, headings = [c for members in groups.values() for c in members], _headings(groups)
    rows = [("F1 % [95 %]", "halluc. %", "p50", "p95", "peak RSS", "status"), *map(_row, cells)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = max(12, _WIDTH - sum(widths) - 2 * len(widths))
    names = ["cell", *(shorten(c.cell, room) for c in cells)]
    lines = []
    for i, (name, (*numbers, status)) in enumerate(zip(names, rows, strict=True)):
        if (heading := headings.get(i - 1)) is not None:
            lines.append(heading)
        columns = [name.ljust(max(map(len, names))), *map(str.rjust, numbers, widths)]
        lines.append("  ".join([*columns, status])[:_WIDTH])
    told = [line for doubt in document_doubts(summary) for line in textwrap.wrap(doubt, _WIDTH)]
    return [*lines, *_samples(summary), *told, *about_pictures]


def _headings(groups: Mapping[int | None, Sequence[CellSummary]]) -> Mapping[int, str]:
    """By the row that it stands above: what keeps times of unlike output lengths apart."""
    found, row = {}, 0
    for length, members in groups.items():
        if length is not None:
            found[row] = f"-- every answer exactly {length} tokens long: times compare with each other alone"
        row += len(members)
    return found


def _samples(summary: Summary) -> Sequence[str]:
    """One line for each number of documents that candidates read a sample of."""
    whole = summary.corpus.get("documents")
    by_size: dict[int, list[str]] = {}
    for cell in summary.candidates:
        by_size.setdefault(cell.overall.documents, []).append(cell.cell)
    return [
        f"SAMPLE: {size} of {whole} documents were read by {', '.join(names)} (--eval-limit all reads all)"
        for size, names in sorted(by_size.items())
        if isinstance(whole, int) and size < whole
    ]


def _row(cell: CellSummary) -> tuple[str, ...]:
    m = cell.metrics

    def number(name: str, *, interval: bool = False) -> str:
        plain = replace(m[name], status=Status.MEASURED)  # that they are imported is said once, at the end
        return _DASH if plain.value is None else format_metric(plain, interval=interval)

    answered = f"{cell.overall.answered}/{cell.overall.documents}"
    status = "control" if cell.is_control and cell.result.status == "ok" else cell.result.status
    costs = [number(n) for n in ("latency_s", "latency_p95_s", "peak_rss_bytes")]
    return (
        cell.unscored or number("f1", interval=True),
        number("hallucination_rate"),
        *costs,
        f"{'imported ' if cell.result.is_imported else ''}{status} {answered}",
    )
