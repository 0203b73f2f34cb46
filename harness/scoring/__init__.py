"""Scoring: compare by kind, five outcomes a field, rates with intervals by document."""

from __future__ import annotations

from harness.scoring.aggregate import counts, document_f1, f1_of, rates
from harness.scoring.comparison import Comparison, compare, is_readable
from harness.scoring.document import score_document
from harness.scoring.outcomes import Counts, DocumentScore, ErrorClass, FieldScore, LineItemScore, Outcome
from harness.scoring.table import RATES, ScoreTable

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
    "ScoreTable",
    "compare",
    "counts",
    "document_f1",
    "f1_of",
    "is_readable",
    "rates",
    "score_document",
]

SCORER_VERSION = "1"
"""Raised whenever the same response could score differently: scores compare only within one version."""
