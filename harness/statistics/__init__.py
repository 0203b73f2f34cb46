"""Intervals and tests in which the document is the unit; pure functions that give None, never NaN.

Fields of one page fail together, so counting each field as an independent trial makes intervals too narrow
and tests too eager. Everything here therefore takes one entry per document, and of documents whose time was measured
together one of all of them.
"""

from harness.statistics.aligned import Aligned, differences, united
from harness.statistics.intervals import (
    Estimate,
    bootstrap_interval,
    mean_interval,
    quantile_interval,
    ratio_interval,
    ratio_interval_of,
    standard_deviation,
    t_quantile,
    wilson_interval,
)
from harness.statistics.paired import (
    Alternative,
    PairedDifference,
    documents_needed,
    holm_adjusted,
    minimum_detectable_drop,
    paired_difference,
    sign_flip_test,
)

__all__ = [
    "Aligned",
    "Alternative",
    "Estimate",
    "PairedDifference",
    "bootstrap_interval",
    "differences",
    "documents_needed",
    "holm_adjusted",
    "mean_interval",
    "minimum_detectable_drop",
    "paired_difference",
    "quantile_interval",
    "ratio_interval",
    "ratio_interval_of",
    "sign_flip_test",
    "standard_deviation",
    "t_quantile",
    "united",
    "wilson_interval",
]
