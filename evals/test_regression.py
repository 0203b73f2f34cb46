"""Is it worse than it was? Every cell against the stored baseline (--eval-baseline), on the same documents."""

from fixtures.regression import regression_gates
from harness.regression import Kind


def test_quality(regression, check):
    """F1 is not lower by the margin, no field got worse, nothing more is invented, and every answer is still one."""
    check(regression.run, regression_gates(regression, Kind.QUALITY))


def test_latency(regression, check):
    """Documents are not read slower by the margin, on the same kind of device."""
    check(regression.run, regression_gates(regression, Kind.LATENCY))


def test_memory(regression, check):
    """Weights and peaks take no more bytes than they did."""
    check(regression.run, regression_gates(regression, Kind.MEMORY), otherwise="no size was measured on both sides")
