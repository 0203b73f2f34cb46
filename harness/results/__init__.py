"""From evidence to results: one CellResult per cell, holding scored answers, failures and the metrics over them."""

from harness.results.cell import CellResult
from harness.results.costs import MINIMUM_MEMORY_SAMPLES, memory_samples
from harness.results.scorer import Scorer, cell_results, result_of

__all__ = ["MINIMUM_MEMORY_SAMPLES", "CellResult", "Scorer", "cell_results", "memory_samples", "result_of"]
