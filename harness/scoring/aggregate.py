"""From documents to rates, each with its interval; every interval counts documents, not fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.scoring.outcomes import Counts, DocumentScore
from harness.scoring.table import COUNT_RATES, ScoreTable
from harness.statistics import Estimate

__all__ = ["counts", "document_f1", "f1_of", "rates"]


def counts(scores: Sequence[DocumentScore], fields: Collection[str] | None = None) -> Counts:
    """Add up the outcomes of all documents, over all judged fields or only those named."""
    return ScoreTable.of(scores).counts(fields)


def rates(scores: Sequence[DocumentScore], fields: Collection[str] | None = None) -> Mapping[str, Estimate]:
    """Every rate over all judged fields or only those named: see `ScoreTable.rates`."""
    return ScoreTable.of(scores).rates(fields)


def document_f1(score: DocumentScore) -> float | None:
    """F1 over the judged fields of one document, the unit of paired tests; None without truth or value."""
    return f1_of(score.counts)


def f1_of(counts: Counts) -> float | None:
    """F1 of counted outcomes; None without truth or value."""
    correct, weight = COUNT_RATES["f1"](counts)
    return correct / weight if weight else None
