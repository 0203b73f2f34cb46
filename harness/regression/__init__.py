"""Regression gating: this run against a stored one, cell by cell and document by document.

A baseline is evidence: raw answers and times. Both sides are scored when they are compared, by the same scorer.
"""

from harness.regression.baseline import Baseline, BaselineReading, BaselineRun
from harness.regression.compare import CellComparison, Comparison, compare
from harness.regression.gate import Change, FieldFlips, Kind, Margins, RegressionGate, Status
from harness.regression.storage import load_baseline, save_baseline

__all__ = [
    "Baseline",
    "BaselineReading",
    "BaselineRun",
    "CellComparison",
    "Change",
    "Comparison",
    "FieldFlips",
    "Kind",
    "Margins",
    "RegressionGate",
    "Status",
    "compare",
    "load_baseline",
    "save_baseline",
]
