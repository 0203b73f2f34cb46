"""Claims beside corrections: what the log holds, and what is computed from its scored answers when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.evidence import AggregateRecord, ClaimRecord
from harness.results import CellResult
from harness.scoring import document_f1
from harness.scoring.outcomes import DocumentScore
from harness.statistics import paired_difference

__all__ = ["Correction", "correct", "why_incomparable"]

_SAME = 1e-3
"""Relative distance up to which a number counts as the published one: sources round to three digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A claim and what stands in its place."""

    claim: ClaimRecord
    value: float | None
    """None where nothing can stand in its place; the verdict says why."""
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int | None = None
    floor: float | None = None
    """For an accuracy: what answering N/A to everything earns."""
    verdict: str

    @property
    def reproduced(self) -> bool | None:
        """Whether the data give the published number by its own definition; None if either is not known."""
        stated, again = self.claim.published, self.claim.reproduced
        return None if stated is None or again is None else _alike(stated, again)


def correct(claim: ClaimRecord, results: Mapping[str, CellResult]) -> Correction:
    """Compute what a claim leaves to the reading of the log: a metric of its cell, or a paired difference."""
    if claim.metric is None:
        return Correction(claim=claim, value=claim.recomputed, n=claim.n, verdict=claim.verdict or _verdict(claim))
    cell = results.get(claim.cell or "")
    other = results.get(claim.against or "")
    if cell is None or (claim.against is not None and other is None):
        return Correction(claim=claim, value=None, verdict="the log holds no answers of the cells that it is about")
    if other is not None:
        return _paired(claim, cell, other)
    found = cell.metrics()
    metric = found[claim.metric]
    floor = found["floor_accuracy"].value if claim.metric == "accuracy" else None
    return Correction(
        claim=claim,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        n=metric.n,
        floor=floor,
        verdict=claim.verdict,
    )


def _paired(claim: ClaimRecord, cell: CellResult, other: CellResult) -> Correction:
    ours, theirs = (_by_document(claim.metric or "", r.scores.values()) for r in (cell, other))
    found = paired_difference(ours, theirs)
    ahead = f"{cell.cell} is ahead of {other.cell}"
    if found.low is None or found.high is None:
        verdict = "no winner: too few documents, or no spread between them"
    elif found.low > 0:
        verdict = f"holds: {ahead}"
    elif found.high < 0:
        verdict = f"turned round: {other.cell} is ahead of {cell.cell}"
    else:
        verdict = "no winner: the interval covers zero"
    return Correction(
        claim=claim, value=found.mean, low=found.low, high=found.high, p=found.p, n=found.n, verdict=verdict
    )


def _by_document(metric: str, scores: Iterable[DocumentScore]) -> Mapping[str, float]:
    if metric == "f1":
        return {s.document: f1 for s in scores if (f1 := document_f1(s)) is not None}
    if metric == "accuracy":
        return {s.document: (c.correct + c.absent) / c.judged for s in scores if (c := s.counts).judged}
    raise ValueError(f"{metric} has no value for a single document")


def _verdict(claim: ClaimRecord) -> str:
    if claim.published is None:
        return "not stated by the source"
    if claim.recomputed is None:
        return "cannot be computed from the source"
    return "agrees within 0.1 %" if _alike(claim.published, claim.recomputed) else "differs"


def _alike(a: float, b: float) -> bool:
    return abs(a - b) <= _SAME * max(abs(a), abs(b))


def why_incomparable(records: Sequence[AggregateRecord]) -> str | None:
    """Why numbers of one imported metric must not be compared with each other; None if they may."""
    definitions, sensors = {r.definition for r in records}, {r.sensor or "not told" for r in records}
    if len(definitions) > 1:
        return f"the definitions differ: {'; '.join(sorted(definitions))}"
    return f"the sensors differ: {'; '.join(sorted(sensors))}" if len(sensors) > 1 else None
