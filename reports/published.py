"""What an imported log's source published, beside what its own data say when they are computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.evidence import AggregateRecord
from harness.importers.claims import Correction, correct, why_incomparable
from reports.formatting import MISSING, escape, format_interval, format_percent, format_value, table
from reports.summary import Summary

__all__ = ["published_cautions", "published_json", "published_parts"]

_INTRODUCTION = """\
Published: as the source states it. By its definition: computed again from the published data, by the definition that
the source used. Recomputed: by the definition given here; rates of answers with their 95 % interval over documents.
"""
_NAMED = 3
"""Source files that a caution spells out."""
_AGGREGATES = """\
Numbers over inferences that the source does not give one by one. A number here is only like another one of the same
column where definition and sensor are the same; where they are not, it says so.
"""


def published_cautions(summary: Summary) -> Sequence[str]:
    """Sentences for the head of the report of an imported log; empty for a log that was measured here."""
    imported = summary.evidence.imported
    if imported is None:
        return []
    sources = [str(name) for name in imported.get("source") or ()]
    shown = ", ".join(escape(name, 100) for name in sources[:_NAMED])
    more = f" and {len(sources) - _NAMED} more files" if len(sources) > _NAMED else ""
    notes = "; ".join(escape(str(note), 300) for note in imported.get("notes") or ())
    head = f"**Imported ({escape(str(imported.get('kind')))}), not measured here:** from {shown}{more}."
    return [head, *([f"Of the source: {notes}."] if notes else [])]


def corrections(summary: Summary) -> Sequence[Correction]:
    """Every claim of the log with what stands in its place."""
    results = {c.cell: c.result for c in summary.cells}
    return [correct(claim, results) for claim in summary.evidence.claims]


def published_parts(summary: Summary) -> Sequence[str]:
    """The section, in parts: a table for each claim, then the imported aggregates; empty for a measured log."""
    by_name: dict[str, list[Correction]] = {}
    for found in corrections(summary):
        by_name.setdefault(found.claim.name, []).append(found)
    parts = [_INTRODUCTION] if by_name else []
    for name, members in by_name.items():
        parts += [f"### {escape(name[:1].upper() + name[1:])}\n", _definitions(members), _claims_table(members)]
    if summary.evidence.aggregates:
        parts += ["### Imported aggregates\n", _AGGREGATES, *_aggregates(summary.evidence.aggregates)]
    return parts


def _definitions(members: Sequence[Correction]) -> str:
    claim = members[0].claim
    published = list(dict.fromkeys(escape(c.claim.published_definition, 300) for c in members))
    refusal = "**As published these are not to be compared with each other: the definitions differ.** "
    return (
        f"Published: {'; or '.join(published)}. Recomputed: {escape(claim.recomputed_definition, 300)}. "
        f"{refusal if len(published) > 1 else ''}\n"
    )


def _claims_table(members: Sequence[Correction]) -> str:
    rows = []
    floors = any(c.floor is not None for c in members)
    for found in members:
        claim = found.claim
        sign = claim.against is not None
        again = {True: ", as published", False: ", **not** as published", None: ""}[found.reproduced]
        value = _value(found.value, claim.unit, sign=sign) + format_interval(found.low, found.high, claim.unit)
        p = f", p {found.p:.2g}" if found.p is not None else ""
        rows.append(
            [
                escape(claim.cell or "the source") + (f" against {escape(claim.against)}" if claim.against else ""),
                "not stated" if claim.published is None else _value(claim.published, claim.unit, sign=sign),
                "" if claim.reproduced is None else _value(claim.reproduced, claim.unit, sign=sign) + again,
                value,
                *([_value(found.floor, claim.unit)] if floors else []),
                "" if found.n is None else str(found.n),
                escape(found.verdict, 300) + p,
            ]
        )
    header = ["Cell", "Published", "By its definition", "Recomputed [95 %]"]
    header += [*(["All-N/A floor"] if floors else []), "n", "What it comes to"]
    return table(header, rows, "lrrrrrl" if floors else "lrrrrl")


def _value(value: float | None, unit: str, *, sign: bool = False) -> str:
    if value is None:
        return MISSING
    if unit == "ratio":
        return f"{100 * value:+.1f} points" if sign else f"{format_percent(value)} %"
    if value.is_integer() and abs(value) < 1e6 and not unit:
        return str(int(value))
    if unit in ("1/s", "J", "s"):  # beside a published number of as many digits
        shown = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
        return f"{shown}{'/s' if unit == '1/s' else f' {unit}'}"
    return format_value(value, unit)


def _aggregates(records: Sequence[AggregateRecord]) -> Sequence[str]:
    metrics: dict[str, list[AggregateRecord]] = {}
    for record in records:
        metrics.setdefault(record.metric, []).append(record)
    rows = []
    for metric, members in metrics.items():
        definition = "; ".join(dict.fromkeys(escape(r.definition, 300) for r in members))
        sensors = "; ".join(dict.fromkeys(escape(r.sensor, 100) for r in members if r.sensor))
        why = why_incomparable(members)
        rows.append([escape(metric), definition, sensors, "yes" if why is None else f"no: {escape(why, 300)}"])
    by_cell: Mapping[str, dict[str, AggregateRecord]] = {r.cell: {} for r in records}
    for record in records:
        by_cell[record.cell][record.metric] = record
    cells = [
        [escape(cell), *(_value(found[m].value, found[m].unit) if m in found else "" for m in metrics)]
        for cell, found in by_cell.items()
    ]
    return [
        table(["Metric", "Definition", "Sensor", "Comparable across cells"], rows, "l"),
        table(["Cell", *(escape(m) for m in metrics)], cells, "lr"),
    ]


def published_json(summary: Summary) -> Mapping[str, Any] | None:
    """The same for programs: source, claims with corrections, aggregates; None for a measured log."""
    evidence = summary.evidence
    if evidence.imported is None and not evidence.claims and not evidence.aggregates:
        return None
    return {
        "imported": evidence.imported,
        "claims": [
            {
                **asdict(found.claim),
                "recomputed": found.value,
                "low": found.low,
                "high": found.high,
                "p": found.p,
                "n": found.n,
                "floor": found.floor,
                "verdict": found.verdict,
            }
            for found in corrections(summary)
        ],
        "aggregates": [asdict(record) for record in evidence.aggregates],
    }
