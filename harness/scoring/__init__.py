"""Scoring: compare by kind, five outcomes a field, rates with intervals by document."""

from __future__ import annotations

from harness.scoring.aggregate import RATES, counts, counts_by_field, document_f1, rates, rates_by
from harness.scoring.comparison import Comparison, compare
from harness.scoring.document import score_document
from harness.scoring.outcomes import Counts, DocumentScore, ErrorClass, FieldScore, LineItemScore, Outcome

__all__ = [
    "RATES",
    "SCORER_VERSION",
    "Comparison",
    "Counts",
    "DocumentScore",
    "ErrorClass",
    "FieldScore",
    "LineItemScore",
    "Outcome",
    "compare",
    "counts",
    "counts_by_field",
    "document_f1",
    "rates",
    "rates_by",
    "score_document",
]

SCORER_VERSION = "1"
"""Raised whenever the same response could score differently: scores compare only within one version."""
