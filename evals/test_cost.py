"""What does an answer take? Latency and memory against the budgets of this class of device."""

import pytest

from fixtures.judging import cost_gates


def test_latency(candidate, settle, replay):
    """Median and 95th percentile per document; the measured durations also enter pytest-benchmark's tables."""
    readings = candidate.result.readings
    durations = [readings[d].latency_s for d in candidate.fresh if readings[d].latency_s is not None]
    if not durations:
        pytest.skip(f"{candidate.cell.id}: no document was read in this session")
    replay(durations)
    settle(candidate, cost_gates(candidate, "latency_s", "latency_p95_s"))


def test_memory(candidate, settle):
    """Peak resident memory while loading and while reading."""
    settle(candidate, cost_gates(candidate, "peak_rss_bytes", "load_peak_rss_bytes"))


def test_load_time(candidate, settle):
    """Time from nothing to the first answer."""
    settle(candidate, cost_gates(candidate, "load_s"))
